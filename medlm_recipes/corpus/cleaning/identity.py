"""Which article a document is and what becomes of it among others, in so few bytes that all PubMed's fit."""

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.cleaning import IDENTIFIERS, CleanKeys
from medlm_recipes.corpus.cleaning.standing import Standing, number_of, standing_of
from medlm_recipes.corpus.cleaning.words import hash64
from medlm_recipes.corpus.document import Document

KEY = np.dtype(
    [
        *((kind, np.uint64) for kind in IDENTIFIERS),  # numbers of PubMed and PMC, hashes of the rest; 0: none
        ("source", np.uint16),  # place in the order of preference
        ("characters", np.uint32),
        ("excluded", np.uint8),  # and the next three, with the PMID: a Standing
        ("type_score", np.float32),
        ("approved", np.bool_),
        ("published", np.float32),
    ]
)
"""What is held of a document, 56 bytes."""

_DOI = re.compile(r"10\.\d{4,9}/\S+")
_PMCID = re.compile(r"(?:PMC)?\s*(\d{1,18})(?:\.\d+)?", re.IGNORECASE)  # PMC1234567.2: a version of it
_WORD = re.compile(r"\w+")

_LONGEST_TITLE = 60  # words; a longer first line is a paragraph


def key_of(document: Document, clean: CleanKeys, journals: Collection[str]) -> tuple[Any, ...]:
    """A row of KEY."""
    metadata = document.metadata
    standing = standing_of(metadata, journals)
    return (
        standing.pmid,
        number_of(_PMCID, metadata.get("pmcid")),
        _doi(metadata.get("doi")),
        _title(document, clean.duplicates.min_title_words) if clean.duplicates else 0,
        _hash(" ".join(document.text.lower().split())),
        _place(document.source, clean.prefer),
        min(len(document.text), 0xFFFFFFFF),
        standing.excluded,
        standing.type_score,
        standing.approved,
        standing.published,
    )


def _doi(given: Any) -> int:
    """DOIs ignore case (ISO 26324), and come with and without `https://doi.org/` or `doi:`."""
    doi = _DOI.search(str(given or ""))
    return _hash(doi.group().rstrip(".,;").lower()) if doi else 0


def _title(document: Document, min_words: int) -> int:
    """Of the metadata's title, or else of the first line; 0 for one that is too short to tell articles apart."""
    title = document.metadata.get("title")
    if "other_abstract_of" in document.metadata:  # a translation or summary under the article's title
        return 0
    if not isinstance(title, str):
        title, _, rest = document.text.partition("\n")
        if not rest.strip():
            return 0
    words = _WORD.findall(title.lower())
    return _hash(" ".join(words)) if min_words <= len(words) <= _LONGEST_TITLE else 0


def _hash(text: str) -> int:
    return hash64(text) or 1


def _place(source: str, prefer: Sequence[str]) -> int:
    return prefer.index(source) if source in prefer else len(prefer)


def best_first(keys: NDArray[np.void], index: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Sort keys for np.lexsort: the preferred source, then the longest text, then the first document."""
    return index, -keys["characters"].astype(np.int64), keys["source"]


def shared_standing(rows: NDArray[np.void]) -> Standing:
    """Of documents of one article, the first of which is kept: whatever speaks for or against any of them."""
    return Standing(
        pmid=int(rows["pmid"].max()),
        excluded=int(np.bitwise_or.reduce(rows["excluded"])),
        type_score=float(rows["type_score"].max()),
        approved=bool(rows["approved"].any()),
        published=float(rows["published"][0] or rows["published"].max()),
    )
