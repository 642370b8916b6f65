"""What `format` selects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medlm_recipes.config.corpus import CorpusConfig, slug
from medlm_recipes.corpus import guidelines, hub, json_lines, jsonl, pile, pmc_jats, prepared, pubmed_xml, s2orc, text
from medlm_recipes.corpus.document import Item
from medlm_recipes.corpus.inputs import InputFile, expand_inputs

Reader = Callable[[InputFile, CorpusConfig, Mapping[int, str]], Iterator[Item]]
"""Yields one item for every record of a file, and Coverage besides where it measures any. The last argument
gives, by position among the file's records, why some are skipped. Raises DataError when the file is missing
or damaged."""


@dataclass(frozen=True)
class Format:
    """endings: of the files that a folder is searched for. sources: that a config gives names to.

    files_per_output: inputs that share output files. find: the inputs, where they are no files with endings.
    """

    read: Reader
    endings: tuple[str, ...]
    sources: Callable[[CorpusConfig, Sequence[InputFile]], list[str]]
    files_per_output: int = 1
    find: Callable[[CorpusConfig], list[InputFile]] | None = None


FORMATS = {
    "documents": Format(
        prepared.read_prepared, prepared.ENDINGS, lambda _, files: sorted({file.path.parent.name for file in files})
    ),
    "guidelines": Format(guidelines.read_guidelines, json_lines.ENDINGS, lambda *_: [guidelines.SOURCE]),
    "hub": Format(hub.read_hub, (), lambda config, _: [config.source], find=hub.find_hub_files),
    "jsonl": Format(jsonl.read_jsonl, json_lines.ENDINGS, lambda config, _: [config.source]),
    "pile": Format(pile.read_pile, json_lines.ENDINGS, lambda config, _: [slug(name) for name in config.pile_sets]),
    "pmc_jats": Format(
        pmc_jats.read_pmc_jats, pmc_jats.ENDINGS, lambda config, _: [config.source], files_per_output=1000
    ),
    "pubmed_xml": Format(pubmed_xml.read_pubmed_xml, pubmed_xml.ENDINGS, lambda *_: [pubmed_xml.SOURCE]),
    "s2orc": Format(s2orc.read_s2orc, s2orc.ENDINGS, lambda *_: [s2orc.SOURCE]),
    "text": Format(text.read_text, text.ENDINGS, lambda config, _: [config.source], files_per_output=1000),
}


def find_inputs(config: CorpusConfig) -> list[InputFile]:
    """The files that `inputs` stands for. Raises DataError where it stands for none."""
    chosen = FORMATS[config.format]
    return chosen.find(config) if chosen.find else expand_inputs(config.inputs, chosen.endings)
