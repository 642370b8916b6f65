"""The records of one PubMed XML file, one at a time, with the memory of each freed behind it.

Entities are neither expanded nor fetched, no DTD is loaded and the network is off.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

from medlm_recipes.corpus.compressed import DAMAGE, damaged, open_input
from medlm_recipes.errors import DataError

ROOT = "PubmedArticleSet"
ARTICLE, BOOK, DELETION = "PubmedArticle", "PubmedBookArticle", "DeleteCitation"

_iterparse: Any = etree.iterparse  # lxml-stubs lack it
_MAX_PMID_DIGITS = 18  # what an int64 holds


class Key(NamedTuple):
    """Which citation a record is, and which of its versions."""

    pmid: int
    version: int


def read_records(path: Path) -> Iterator[Any]:
    """Yield every PubmedArticle, PubmedBookArticle and DeleteCitation element of a file.

    An element is emptied when the next one is asked for. Raises DataError when the file is missing,
    damaged, cut, not well-formed, or not PubMed's.
    """
    done = 0
    try:
        with open_input(path) as stream:
            for _, root in _iterparse(stream, events=("start",), **_SAFE):
                if root.tag != ROOT:
                    raise DataError(f"{path}: its root is <{root.tag}>, not <{ROOT}>; is it a PubMed file?")
                break
        with open_input(path) as stream:
            for _, element in _iterparse(stream, tag=(ARTICLE, BOOK, DELETION), **_SAFE):
                yield element
                done += 1
                element.clear()
                while (before := element.getprevious()) is not None:
                    element.getparent().remove(before)
    except etree.XMLSyntaxError as error:
        raise DataError(
            f"{path}: not well-formed XML after {done:,} records ({error.msg}); fetch the file again"
        ) from None
    except DAMAGE as error:
        raise damaged(path, error, f"after {done:,} records") from None


_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "remove_comments": True,
    "remove_pis": True,
}


def key_of(article: Any) -> Key | None:
    """PMID and version of a PubmedArticle; None when it has no PMID."""
    return _key(article.find("MedlineCitation/PMID"))


def deleted_by(deletion: Any) -> list[int]:
    """The PMIDs that a DeleteCitation lists."""
    return [key.pmid for key in map(_key, deletion.iterfind("PMID")) if key]


def _key(pmid: Any) -> Key | None:
    digits = (pmid.text or "").strip() if pmid is not None else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_PMID_DIGITS):
        return None
    return Key(int(digits), parse_version(pmid.get("Version", "1")))


def parse_version(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 5 else 1
