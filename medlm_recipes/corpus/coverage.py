"""How much of what marked-up articles say stands in their texts, by element."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


def count_characters(text: str) -> int:
    """Characters of a text but white space, which is normalised and so cannot be compared."""
    return len("".join(text.split()))


@dataclass
class Coverage:
    """Characters but white space, by element: those read, and of them those kept in a text.

    What is dropped counts under the outermost element that is dropped, what is kept under the
    innermost block that it stands in.
    """

    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def keep(self, element: str, characters: int) -> None:
        self.read[element] += characters
        self.kept[element] += characters

    def drop(self, element: str, characters: int) -> None:
        self.read[element] += characters

    def add(self, other: "Coverage") -> None:
        self.read.update(other.read)
        self.kept.update(other.kept)

    def facts(self) -> dict[str, Any]:
        """What the manifest says."""
        return {
            element: {"characters": self.read[element], "kept": self.kept[element]}
            for element in sorted(self.read)
            if self.read[element]
        }

    def summary(self) -> Iterator[str]:
        """Lines of a table for people; none when nothing was measured."""
        if not self.read.total():
            return
        yield f"{'coverage by element':<24}{'characters':>18}{'kept':>18}{'share':>10}"
        for element, characters in sorted(self.read.items(), key=lambda one: (-one[1], one[0])):
            if characters:
                yield _row(element, characters, self.kept[element])
        yield _row("all", self.read.total(), self.kept.total())


def _row(name: str, characters: int, kept: int) -> str:
    return f"{name:<24}{characters:>18,}{kept:>18,}{kept / characters:>10.2%}"
