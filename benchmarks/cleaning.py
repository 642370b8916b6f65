"""MB/s of every cleaning step on one core, over the texts of a file in The Pile's form.

    python benchmarks/cleaning.py FILE.jsonl.zst [BENCHMARK ...]

CPU time, the best of three rounds; megabytes of text in UTF-8. Short texts are joined, a line each, to
the length of abstracts and of papers, because a step's cost is partly one a document. Decontamination is
measured on texts whose words were sorted too, which share nothing with the BENCHMARK files.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from medlm_recipes.config.cleaning import CleanKeys, DecontaminateKeys, DuplicateKeys, LanguageKeys, NearDuplicateKeys
from medlm_recipes.corpus.cleaning.benchmark_index import build_index
from medlm_recipes.corpus.cleaning.benchmarks import ENDINGS, read_benchmark_items
from medlm_recipes.corpus.cleaning.decontamination import Decontamination
from medlm_recipes.corpus.cleaning.identity import key_of
from medlm_recipes.corpus.cleaning.language import is_other_language
from medlm_recipes.corpus.cleaning.minhash import bands_of
from medlm_recipes.corpus.cleaning.urls import remove_urls
from medlm_recipes.corpus.cleaning.white_space import normalize_white_space
from medlm_recipes.corpus.compressed import read_lines
from medlm_recipes.corpus.document import Document
from medlm_recipes.corpus.inputs import expand_inputs

CHARACTERS = {"abstracts": 1_400, "papers": 30_000}


def joined(texts: list[str], characters: int) -> list[Document]:
    found, held = [], ""
    for text in texts:
        held = f"{held}\n{text}" if held else text
        if len(held) >= characters:
            found.append(Document(str(len(found)), held, "s"))
            held = ""
    return found


def rate(documents: list[Document], step: Callable[[Document], object]) -> float:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        for document in documents:
            step(document)
        seconds.append(time.process_time() - start)
    return sum(len(document.text.encode()) for document in documents) / 1e6 / min(seconds)


def main() -> None:
    texts = [json.loads(line)["text"] for _, line in read_lines(Path(sys.argv[1]))]
    language, near, clean = LanguageKeys(), NearDuplicateKeys(), CleanKeys(duplicates=DuplicateKeys())
    steps: dict[str, Callable[[Document], object]] = {
        "urls": lambda one: remove_urls(one.text),
        "white_space": lambda one: normalize_white_space(one.text),
        "language, record silent": lambda one: is_other_language(one, language),
        "duplicates": lambda one: key_of(one, clean, ()),
        "near_duplicates": lambda one: bands_of(one.text, near),
    }
    for kind, characters in CHARACTERS.items():
        documents = joined(texts, characters)
        for name, step in steps.items():
            print(f"{kind:<10} {name:<28} {rate(documents, step):8.1f} MB/s")
        if sys.argv[2:]:
            items = [item for file in expand_inputs(sys.argv[2:], ENDINGS) for item in read_benchmark_items(file)]
            index = build_index(items, 8)
            sorted_words = joined([" ".join(sorted(text.split())) for text in texts], characters)
            for what, some in (("as they are", documents), ("words sorted", sorted_words)):
                judge = Decontamination(index, DecontaminateKeys(against=["x"]))
                found = rate(some, lambda one, judge=judge: judge.is_contaminated(one, is_training=True))
                print(f"{kind:<10} {'decontaminate, ' + what:<28} {found:8.1f} MB/s")


if __name__ == "__main__":
    main()
