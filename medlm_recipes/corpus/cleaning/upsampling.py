"""Copies of good documents: GAP-Replay's scores (the MediTron paper, table 10)."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from medlm_recipes.corpus.cleaning.standing import Standing
from medlm_recipes.corpus.document import Document

APPROVED_JOURNAL = 1.0
AGES = ((5.5, 1.0), (10.0, 0.2))
"""Years since publication, and the score of what is younger."""

COPY_OF = "copy_of"
"""Key of the metadata of a copy: the document's id."""

_FRACTIONS = 1 << 64


def score_of(standing: Standing, citations: float, as_of: float) -> float:
    """0 without a publication type or journal that counts; else their scores, the age's and the citations'.

    as_of: decimal year. Of a document that does not say when it was published, age does not count.
    """
    score = standing.type_score + APPROVED_JOURNAL * standing.approved
    if score == 0:
        return 0.0
    if standing.published:
        age = as_of - standing.published
        score += next((points for years, points in AGES if age < years), 0.0)
    return score + citations


def times_of(identifier: str, score: float, seed: int) -> int:
    """1 + score, rounded up with the probability of its fraction: by a hash of id and seed, so always alike."""
    whole = int(score)
    digest = hashlib.sha256(f"{seed}:copies:{identifier}".encode()).digest()
    is_up = int.from_bytes(digest[:8], "big") < int((score - whole) * _FRACTIONS)
    return 1 + whole + is_up


def copies(document: Document, times: int) -> Iterator[Document]:
    """What a document that is to be written `times` times is written as besides: with `#2`, `#3` behind its id."""
    metadata = {**document.metadata, COPY_OF: document.id}
    for number in range(2, times + 1):
        yield replace(document, id=f"{document.id}#{number}", metadata=metadata)


def original_id(document: Document) -> str:
    """Of a copy, that of the document it is one of: both belong to one split, in a joined corpus too."""
    return str(document.metadata.get(COPY_OF, document.id))
