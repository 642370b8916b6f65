"""Counts of a corpus: what was read, and what became of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import SPLITS, Document


@dataclass
class Size:
    """characters: Unicode code points. bytes: of the text in UTF-8."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0

    def add(self, other: "Size") -> None:
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes


@dataclass
class Tally:
    """read: records that the reader yielded. rejected, skipped: by reason. sizes: by split and source.

    copies: documents that were written again; the sizes hold them. files: what was written, relative to
    the output's folder. coverage: of what the reader read; empty for formats without markup.
    """

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    sizes: dict[tuple[str, str], Size] = field(default_factory=dict)
    copies: int = 0
    files: list[Path] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def written(self) -> int:
        """Documents, each once."""
        return sum(size.documents for size in self.sizes.values()) - self.copies

    def wrote(self, split: str, document: Document, *, is_copy: bool = False) -> None:
        self.copies += is_copy
        size = self.sizes.setdefault((split, document.source), Size())
        size.add(Size(1, len(document.text), len(document.text.encode())))

    def add(self, other: "Tally") -> None:
        self.read += other.read
        self.rejected.update(other.rejected)
        self.skipped.update(other.skipped)
        self.copies += other.copies
        self.files += other.files
        for key, size in other.sizes.items():
            self.sizes.setdefault(key, Size()).add(size)
        self.coverage.add(other.coverage)

    def facts(self) -> dict[str, Any]:
        """What the manifest says. Every record that was read is written, rejected or skipped."""
        assert self.read == self.written + self.rejected.total() + self.skipped.total(), self
        splits: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
        for (split, source), size in sorted(self.sizes.items()):
            splits[split][source] = asdict(size)
        facts = {
            "read": self.read,
            "written": self.written,
            "rejected": dict(sorted(self.rejected.items())),
            "skipped": dict(sorted(self.skipped.items())),
            **({"copies": self.copies} if self.copies else {}),
            "splits": splits,
        }
        coverage = self.coverage.facts()
        return {**facts, "coverage": coverage} if coverage else facts

    def outcome(self) -> str:
        """What became of the records, in a line."""
        kept_back = (
            f"rejected {self.rejected.total():,}{_reasons(self.rejected)}"
            f" + skipped {self.skipped.total():,}{_reasons(self.skipped)}"
        )
        return f"read {self.read:,} = written {self.written:,} + {kept_back}"

    def summary(self) -> Iterator[str]:
        """Lines of a table for people."""
        yield f"{'split':<12}{'source':<24}{'documents':>14}{'characters':>18}{'bytes':>18}"
        for (split, source), size in sorted(self.sizes.items()):
            yield f"{split:<12}{source:<24}{size.documents:>14,}{size.characters:>18,}{size.bytes:>18,}"
        yield self.outcome()
        if self.copies:
            yield f"copies of good documents, written besides: {self.copies:,}"
        for source in sorted({source for _, source in self.sizes}):
            for split in SPLITS:
                if (split, source) not in self.sizes:
                    yield f"notice: source {source} has no {split} documents"
        yield from self.coverage.summary()


def _reasons(by_reason: Counter[str]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in by_reason.most_common())})" if by_reason else ""
