"""What the references within an S2ORC text point to, as GAP-Replay's markers write it, and how they are set in."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from medlm_recipes.corpus.markers import ANY_PLACEHOLDER, CITATION, FLOAT, citation, float_reference, without_brackets
from medlm_recipes.corpus.s2orc_annotations import Span

_NAMED = re.compile(rf"\b(?:Figure|Fig|Table|Tab)s?\b[\s.]*(?={FLOAT})", re.IGNORECASE)
_GLUED = re.compile(rf"(?<=[^\s(\[])(?={ANY_PLACEHOLDER})|(?<={ANY_PLACEHOLDER})(?=\w)")
_LABEL = re.compile(r"(?:fig(?:ure)?|tab(?:le)?)s?[\s.]*([A-Z]?\d+[A-Z]?|[IVX]+)\b[\s.:|]*", re.IGNORECASE)


class References:
    """text: of the whole record. spans: of every kind."""

    def __init__(self, text: str, spans: Mapping[str, Sequence[Span]]) -> None:
        self._text = text
        self._spans = spans
        named = (span for kind in ("bibentry", "figure") for span in spans[kind])
        self._targets = {name: span for span in named if (name := span.attributes.get("id")) and isinstance(name, str)}
        self._markers: dict[str, str] = {}

    def marker(self, reference: Span) -> str:
        """The marker in the place of a bibref, figureref or tableref; empty when there is nothing to say."""
        name = reference.attributes.get("ref_id")
        target = self._targets.get(name) if isinstance(name, str) else None
        if name is None or target is None:
            return ""
        if name not in self._markers:
            if target.kind == "bibentry":
                self._markers[name] = self._cited(target)
            else:
                label, caption = self.label_and_caption(target)
                own = plain(self._text[reference.start : reference.end])
                self._markers[name] = float_reference(label or own, caption) if caption else ""
        return self._markers[name]

    def label_and_caption(self, figure: Span) -> tuple[str, str]:
        """ "Figure 3" and its caption without that label; empty strings for what there is not."""
        caption = self._first_within("figurecaption", figure)
        if caption is None:
            return "", ""
        text = plain(self._text[caption.start : caption.end])
        head = plain(self._text[figure.start : caption.start])
        own = _LABEL.match(text)
        found = own or _LABEL.match(head)
        if own and len(text) > own.end():
            text = text[own.end() :]
        return f"{'Table' if is_table(figure) else 'Figure'} {found[1]}" if found else "", text

    def _cited(self, entry: Span) -> str:
        """Empty for an entry without title and author."""
        found = (self._first_within(kind, entry) for kind in ("bibtitle", "bibauthorlastname"))
        title, author = (plain(self._text[one.start : one.end]) if one else "" for one in found)
        return citation(title, author) if title or author else ""

    def _first_within(self, kind: str, outer: Span) -> Span | None:
        spans = self._spans[kind]
        at = bisect_left(spans, outer.start, key=lambda span: span.start)
        return spans[at] if at < len(spans) and outer.holds(spans[at]) else None


def is_table(figure: Span) -> bool:
    """GROBID writes tables as figures of that type."""
    return figure.attributes.get("type") == "table" or str(figure.attributes.get("id")).startswith("tab")


def set_in(text: str, markers: Sequence[str]) -> str:
    """The text with its markers, in their order, for the placeholders, and without what would be left over.

    That is brackets and separators around them, and "Fig." before one.
    """
    text = _NAMED.sub("", text)
    text = without_brackets(text)
    text = _GLUED.sub(" ", text)
    in_turn = iter(markers)
    return re.sub(ANY_PLACEHOLDER, lambda _: next(in_turn), text)


def placeholder(reference: Span) -> str:
    return CITATION if reference.kind == "bibref" else FLOAT


def plain(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
