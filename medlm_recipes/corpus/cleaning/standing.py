"""What a document's metadata says of its quality, as numbers that documents of one article can share."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from medlm_recipes.config.cleaning import EXCLUSIONS
from medlm_recipes.errors import DataError

# The MediTron paper's table 10, by publication type as PubMed names it.
PUBLICATION_TYPES = {
    "guideline": 1.0,
    "practice guideline": 1.0,
    "patient education handout": 1.0,
    "meta-analysis": 1.0,
    "systematic review": 0.8,
    "clinical trial, phase iv": 0.8,
    "clinical trial, phase iii": 0.6,
    "randomized controlled trial": 0.5,
    "review": 0.5,
    "observational study": 0.5,
    "comparative study": 0.5,
    "clinical trial, phase ii": 0.4,
    "clinical study": 0.4,
    "clinical trial, phase i": 0.2,
    "editorial": 0.1,
    "letter": 0.1,
    "comment": 0.1,
    "case reports": 0.0,
}
# The same in JATS's article-type and in Semantic Scholar's types, which S2ORC has.
_OTHER_NAMES = {
    "review-article": "review",
    "systematic-review": "systematic review",
    "case-report": "case reports",
    "article-commentary": "comment",
    "retracted-article": "retracted publication",
    "metaanalysis": "meta-analysis",
    "casereport": "case reports",
    "lettersandcomments": "letter",
}
_EXCLUDED_TYPES = {
    "retracted publication": "retracted",
    "preprint": "preprint",
    "observational study, veterinary": "veterinary",
}
_PMID = re.compile(r"(?:PMID:?)?\s*(\d{1,18})(?:\.0)?", re.IGNORECASE)  # some tables make it a float
_DATE = re.compile(r"((?:1[5-9]|20)\d\d)(?:-(\d\d))?(?!\d)")


@dataclass(frozen=True)
class Standing:
    """pmid: 0 without one. excluded: bits, in the order of EXCLUSIONS. approved: its journal is on the list.

    type_score: the highest of its publication types', 0 without one. published: decimal year, 0 when unknown.
    """

    pmid: int
    excluded: int
    type_score: float
    approved: bool
    published: float


def standing_of(metadata: Mapping[str, Any], journals: Collection[str]) -> Standing:
    """journals: the approved ones, in lower case, by title, ISSN or NLM's number."""
    given = [*_texts(metadata.get("publication_types")), *_texts(metadata.get("article_type"))]
    types = [_OTHER_NAMES.get(name.lower(), name.lower()) for name in given]
    found = {_EXCLUDED_TYPES[name] for name in types if name in _EXCLUDED_TYPES}
    if metadata.get("retracted") is True:
        found.add("retracted")
    if "Animals" in _texts(metadata.get("mesh")):
        found.add("animals")
    return Standing(
        pmid=number_of(_PMID, metadata.get("pmid")),
        excluded=sum(1 << place for place, name in enumerate(EXCLUSIONS) if name in found),
        type_score=max((PUBLICATION_TYPES.get(name, 0.0) for name in types), default=0.0),
        approved=bool(journals)
        and any(str(metadata.get(name, "")).strip().lower() in journals for name in ("journal", "issn", "nlm_id")),
        published=published(metadata),
    )


def published(metadata: Mapping[str, Any]) -> float:
    """When a document was published, as a decimal year; in the middle of a year without a month; 0 when unknown."""
    for name in ("date", "year"):
        date = _DATE.match(str(metadata.get(name) or ""))
        if date:
            year, month = int(date[1]), int(date[2] or 0)
            return year + ((month - 0.5) / 12 if 1 <= month <= 12 else 0.5)
    return 0.0


def _texts(given: Any) -> list[str]:
    several = given if isinstance(given, list) else [given]
    return [one for one in several if isinstance(one, str)]


def number_of(pattern: re.Pattern[str], given: Any) -> int:
    """The first group of a pattern that fits the whole of an identifier; 0 for anything else."""
    number = pattern.fullmatch(str(given).strip()) if isinstance(given, str | int | float) else None
    return int(number[1]) if number else 0


def reason_to_exclude(excluded: int, exclude: Collection[str]) -> str | None:
    """The first of EXCLUSIONS that is set and to be excluded."""
    return next((name for place, name in enumerate(EXCLUSIONS) if excluded >> place & 1 and name in exclude), None)


@lru_cache(maxsize=1)
def read_journals(path: Path) -> frozenset[str]:
    """Approved journals, one a line. Raises DataError for a missing, empty or unreadable list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; clean.upsample.journals names a list of journals") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of journals ({error})") from None
    journals = frozenset(line.strip().lower() for line in lines if line.strip())
    if not journals:
        raise DataError(f"{path}: lists no journals; give one a line, by title, ISSN or NLM's number")
    return journals
