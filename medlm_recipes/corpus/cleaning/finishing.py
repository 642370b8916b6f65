"""What is decided last about a document, when its duplicates are known: exclusion, contamination, copies."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.cleaning.benchmark_index import load_index
from medlm_recipes.corpus.cleaning.citations import citation_score
from medlm_recipes.corpus.cleaning.decontamination import CONTAMINATED, Decontamination
from medlm_recipes.corpus.cleaning.lookups import Lookups
from medlm_recipes.corpus.cleaning.standing import Standing, read_journals, reason_to_exclude, standing_of
from medlm_recipes.corpus.cleaning.upsampling import score_of, times_of
from medlm_recipes.corpus.document import TRAIN, Document, Reject, Skipped


@dataclass(frozen=True)
class Candidate:
    """A document that was read and cleaned. standing: its own and its duplicates'; None when it was not needed."""

    file: str
    document: Document
    standing: Standing | None = None


class Finishing:
    """The last decisions about the documents of one task."""

    def __init__(self, config: CorpusConfig, lookups: Lookups) -> None:
        self._keys = config.clean
        self._seed = config.seed
        self._lookups = lookups
        self._journals = journals_of(lookups)
        keys = config.clean.decontaminate
        self._decontamination = (
            Decontamination(load_index(lookups.benchmarks), keys) if keys and lookups.benchmarks else None
        )

    def against(self, candidate: Candidate, split: str) -> Reject | Skipped | None:
        """Why the document is not to be written; None when it is."""
        document = candidate.document
        if self._keys.exclude:
            reason = reason_to_exclude(self._standing(candidate).excluded, self._keys.exclude)
            if reason:
                return Skipped(reason)
        if self._decontamination and self._decontamination.is_contaminated(document, is_training=split == TRAIN):
            return Reject(candidate.file, document.id, CONTAMINATED, document.text)
        return None

    def times(self, candidate: Candidate, split: str) -> int:
        """How often the document is to be written: validation stays as it is."""
        keys = self._keys.upsample
        document = candidate.document
        if keys is None or split != TRAIN or (keys.sources and document.source not in keys.sources):
            return 1
        standing = self._standing(candidate)
        cited = citation_score(standing.pmid, self._lookups.citations) if self._lookups.citations else 0.0
        return times_of(document.id, score_of(standing, cited, keys.as_of), self._seed)

    def overlaps(self) -> tuple[list[bytes], bytes]:
        """Lines of decontamination.jsonl, and the runs seen as packed bits."""
        found = self._decontamination
        return (found.lines, np.packbits(found.seen).tobytes()) if found else ([], b"")

    def _standing(self, candidate: Candidate) -> Standing:
        return candidate.standing or standing_of(candidate.document.metadata, self._journals)


def journals_of(lookups: Lookups) -> Collection[str]:
    return read_journals(lookups.journals) if lookups.journals else ()
