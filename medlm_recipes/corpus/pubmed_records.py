"""The records of one PubMed XML file, one at a time, with the memory of each freed behind it."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

from medlm_recipes.corpus.compressed import DAMAGE, damaged, open_input
from medlm_recipes.corpus.pubmed_slices import OtherForm, record_slices
from medlm_recipes.corpus.safe_xml import element_parser, free, parse_elements
from medlm_recipes.errors import DataError

ROOT = "PubmedArticleSet"
ARTICLE, BOOK, DELETION = "PubmedArticle", "PubmedBookArticle", "DeleteCitation"

_MAX_PMID_DIGITS = 18  # what an int64 holds
_DECLARED_ENTITY = re.compile(rb"&(?!(?:lt|gt|amp|quot|apos);|#)")  # a slice does not say what it stands for


class Key(NamedTuple):
    """Which citation a record is, and which of its versions."""

    pmid: int
    version: int


def read_records(path: Path) -> Iterator[Any]:
    """Yield every PubmedArticle, PubmedBookArticle and DeleteCitation element of a file.

    An element may be emptied when the next one is asked for. Raises DataError when the file is missing,
    damaged, cut, not well-formed, or not PubMed's.
    """
    done = 0
    try:
        for element in _read_slices(path):
            yield element
            done += 1
    except (OtherForm, etree.XMLSyntaxError):
        yield from islice(_read_whole(path), done, None)
    except DAMAGE as error:
        raise damaged(path, error, f"after {done:,} records") from None


def _read_slices(path: Path) -> Iterator[Any]:
    """Each record parsed alone: a fifth faster than the whole, for files in NLM's way. Raises OtherForm."""
    parser = element_parser()
    for record in record_slices(path):
        if b"&" in record and _DECLARED_ENTITY.search(record):
            raise OtherForm
        yield etree.fromstring(record, parser)


def _read_whole(path: Path) -> Iterator[Any]:
    done = 0
    try:
        with open_input(path) as stream:
            for root in parse_elements(stream, None, "start"):
                if root.tag != ROOT:
                    raise DataError(f"{path}: its root is <{root.tag}>, not <{ROOT}>; is it a PubMed file?")
                break
        with open_input(path) as stream:
            for element in parse_elements(stream, (ARTICLE, BOOK, DELETION)):
                yield element
                done += 1
                free(element)
    except etree.XMLSyntaxError as error:
        raise DataError(
            f"{path}: not well-formed XML after {done:,} records ({error.msg}); fetch the file again"
        ) from None
    except DAMAGE as error:
        raise damaged(path, error, f"after {done:,} records") from None


def key_of(record: Any) -> Key | None:
    """PMID and version of a PubmedArticle or PubmedBookArticle; None when it has no PMID."""
    body = next(record.iterchildren("BookDocument" if record.tag == BOOK else "MedlineCitation"), None)
    return None if body is None else next(filter(None, map(parse_key, body.iterchildren("PMID"))), None)


def deleted_by(deletion: Any) -> list[int]:
    """The PMIDs that a DeleteCitation lists."""
    return [key.pmid for key in map(parse_key, deletion.iterfind("PMID")) if key]


def parse_key(pmid: Any) -> Key | None:
    """What a PMID element says; None when it holds no number."""
    digits = (pmid.text or "").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_PMID_DIGITS):
        return None
    return Key(int(digits), parse_version(pmid.get("Version", "1")))


def parse_version(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 5 else 1
