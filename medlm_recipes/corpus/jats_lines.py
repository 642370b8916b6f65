"""The lines of an article's text, put together from pieces; a paragraph, heading or caption is a line."""

import re
from collections.abc import Iterable

from medlm_recipes.corpus.coverage import Coverage, count_characters
from medlm_recipes.corpus.markers import ANY_PLACEHOLDER, CITATION, FLOAT, without_brackets

_PLACE = re.compile(ANY_PLACEHOLDER)
_NAMED_FLOAT = re.compile(r"\b(?:Figure|Fig|Table|Tab)s?[\s.]*$", re.IGNORECASE)
_LONGEST_NAME = 16  # characters that _NAMED_FLOAT can match, with room

_OPENING = "([{-–—,;/"  # after these a citation's number stands as it is


class Lines:
    """finished: the lines so far. `add` and its kin give pieces of the next one, `end` ends it."""

    def __init__(self, coverage: Coverage) -> None:
        self.finished: list[str] = []
        self._coverage = coverage
        self._pieces: list[str] = []
        self._markers: list[str] = []
        self._inserted = 0  # characters that are not the block's own
        self._prefix = ""
        self.add = self._pieces.append

    def insert(self, text: str) -> None:
        """A piece that is not counted with the line."""
        self._pieces.append(text)
        self._inserted += count_characters(text)

    def refer(self, markers: Iterable[str]) -> None:
        """The markers of one xref. "Fig." before a figure's is left out, as its marker begins with it."""
        for marker in markers:
            is_citation = marker.startswith("[bib_ref]")
            if not is_citation and self._pieces:
                name = _NAMED_FLOAT.search(self._pieces[-1], max(0, len(self._pieces[-1]) - _LONGEST_NAME))
                if name:
                    self._pieces[-1] = self._pieces[-1][: name.start()]
                    self._coverage.drop("xref", count_characters(name[0]))
            self.insert(CITATION if is_citation else FLOAT)
            self._markers.append(marker)

    def separate(self) -> None:
        """A space, unless the line already has one there or an opening bracket: 5 cells and [1] are not cells1."""
        before = next((piece[-1] for piece in reversed(self._pieces) if piece), " ")
        if not before.isspace() and before not in _OPENING:
            self._pieces.append(" ")

    def prefix(self, text: str) -> None:
        """What the next line begins with."""
        if text:
            self._prefix += f"{text} "

    def bullet(self) -> None:
        """The next line is an item of a list, unless it has a label already."""
        self._prefix = self._prefix or "- "

    def end(self, element: str, heading: int = 0) -> None:
        """End the line, if there is any. element: under which it counts. heading: its depth from 1; 0: no heading."""
        if not self._pieces:
            return
        text = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        if not text:
            return
        characters = len(text) - text.count(" ") - self._inserted
        if self._markers:
            bare = without_brackets(text)
            left_out = len(text) - text.count(" ") - (len(bare) - bare.count(" "))
            self._coverage.drop("xref", left_out)
            characters -= left_out
            text = self._with_markers(bare)
        self._coverage.keep(element, characters)
        if heading:
            self.gap()
            self._prefix = f"{'#' * min(heading, 6)} {self._prefix}"
        self.finished.append(self._prefix + text)
        self._prefix = ""
        self._inserted = 0

    def finish(self) -> None:
        """What no line came for to begin with it."""
        if self._prefix.strip(" -"):
            self.finished.append(self._prefix.strip())
        self._prefix = ""

    def verbatim(self, element: str, text: str) -> None:
        """Lines that stay as they are."""
        self._coverage.keep(element, count_characters(text))
        self.finished += [line.rstrip() for line in text.strip("\n").splitlines()]

    def gap(self) -> None:
        if self.finished and self.finished[-1]:
            self.finished.append("")

    def _with_markers(self, text: str) -> str:
        """Set the markers in, spaced from words and punctuation before them and words behind."""
        markers = iter(self._markers)

        def spaced(place: re.Match[str]) -> str:
            start, end = place.span()
            before = " " if start and text[start - 1] not in " ([" else ""
            after = " " if text[end : end + 1].isalnum() else ""
            return before + next(markers) + after

        finished = _PLACE.sub(spaced, text)
        self._markers.clear()
        return finished
