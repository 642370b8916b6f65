"""Train examples that stand in the sets a model is scored on."""

from collections.abc import Iterable

from medlm_recipes.config.cleaning import DecontaminateKeys
from medlm_recipes.corpus.cleaning.benchmark_index import build_index
from medlm_recipes.corpus.cleaning.benchmarks import ENDINGS, BenchmarkItem, read_benchmark_items
from medlm_recipes.corpus.cleaning.decontamination import overlap_of
from medlm_recipes.corpus.inputs import InputFile, expand_inputs
from medlm_recipes.examples.records import Example

Asked = frozenset[str]


class Contamination:
    """Judges examples by the rule of the MediTron paper (B.5), and by the very question.

    An example is contaminated when `keys.share` of its runs of words, or of those of what it asks, stand in
    the items; or when its question and options, in whatever order, are an item's: many questions are too
    short to have a run.
    """

    def __init__(self, items: Iterable[BenchmarkItem], keys: DecontaminateKeys | None) -> None:
        self.items = list(items)
        self._keys = keys or DecontaminateKeys(against=[])
        self._index = build_index(self.items, self._keys.words)
        self._whole = {_asked(item.asked) for item in self.items}

    def holds(self, example: Example) -> bool:
        if _asked(example.asked) in self._whole:
            return True
        texts = ("\n".join(example.asked), "\n".join([*example.asked, *example.told]))
        return any(overlap_of(text, self._index, self._keys.words).share >= self._keys.share for text in texts)


def item_of(benchmark: str, example: Example) -> BenchmarkItem:
    return BenchmarkItem(benchmark, example.id, tuple(example.asked), tuple(example.told))


def benchmark_files(keys: DecontaminateKeys | None) -> list[InputFile]:
    """Raises DataError for a place that holds none."""
    return expand_inputs(keys.against, ENDINGS) if keys else []


def read_items(files: Iterable[InputFile]) -> Iterable[BenchmarkItem]:
    for file in files:
        yield from read_benchmark_items(file)


def _asked(texts: Iterable[str]) -> Asked:
    """Texts without their order, case and white space."""
    return frozenset(" ".join(text.lower().split()) for text in texts if text.strip())
