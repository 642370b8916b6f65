"""What `format` selects."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus import pile, pubmed_xml, text
from medlm_recipes.corpus.document import Item
from medlm_recipes.corpus.inputs import InputFile

Reader = Callable[[InputFile, CorpusConfig, Mapping[int, str]], Iterator[Item]]
"""Yields one item for every record of a file, except that the last argument gives, by position among
the file's records, why some are skipped. Raises DataError when the file is missing or damaged."""


@dataclass(frozen=True)
class Format:
    """endings: of the files that a folder is searched for. files_per_output: inputs that share output files."""

    read: Reader
    endings: tuple[str, ...]
    files_per_output: int = 1


FORMATS = {
    "pile": Format(pile.read_pile, pile.ENDINGS),
    "pubmed_xml": Format(pubmed_xml.read_pubmed_xml, pubmed_xml.ENDINGS),
    "text": Format(text.read_text, text.ENDINGS, files_per_output=1000),
}
