"""S2ORC's annotations: for each kind a JSON string of spans of the text, [{"start", "end", "attributes"}]."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

USED = (
    "title",
    "abstract",
    "sectionheader",
    "paragraph",
    "formula",
    "figure",
    "figurecaption",
    "table",
    "bibref",
    "figureref",
    "tableref",
    "bibentry",
    "bibtitle",
    "bibauthorlastname",
)
"""The kinds that say what the text is made of."""

MARGINS = ("author", "authoraffiliation", "publisher", "venue")
"""The kinds of what is no text; everything else S2ORC has stands within one of these or of USED."""


class BrokenAnnotations(Exception):
    """Annotations that do not fit their text; the message is a reason in one word."""


@dataclass(frozen=True)
class Span:
    """Characters of the text from `start` up to `end`; never empty."""

    start: int
    end: int
    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, other: "Span") -> bool:
        return self.start <= other.start and other.end <= self.end


def read_annotations(annotations: Mapping[str, Any], characters: int) -> dict[str, list[Span]]:
    """The spans of every kind in USED and MARGINS, sorted; kinds that are null or missing have none.

    characters: length of the text. Raises BrokenAnnotations when they are no JSON, reach beyond the
    text, or those of USED overlap other than by one standing within the other: they come from a tree.
    """
    spans = {kind: _spans(annotations.get(kind), kind, characters) for kind in (*USED, *MARGINS)}
    _check_nesting(span for kind in USED for span in spans[kind])
    return spans


def _spans(given: Any, kind: str, characters: int) -> list[Span]:
    if isinstance(given, str) and given:
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise BrokenAnnotations("annotations_not_json") from None
    if not given:
        return []
    if not isinstance(given, list):
        raise BrokenAnnotations("annotations_not_spans")
    spans = [_span(one, kind, characters) for one in given]
    return sorted((span for span in spans if span.end > span.start), key=lambda span: (span.start, -span.end))


def _span(given: Any, kind: str, characters: int) -> Span:
    if not isinstance(given, dict):
        raise BrokenAnnotations("annotations_not_spans")
    start, end = _offset(given.get("start")), _offset(given.get("end"))
    if not 0 <= start <= end <= characters:
        raise BrokenAnnotations("span_outside_the_text")
    attributes = given.get("attributes")
    return Span(start, end, kind, attributes if isinstance(attributes, dict) else {})


def _offset(given: Any) -> int:
    """Early releases write offsets as strings."""
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 12:
        return int(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise BrokenAnnotations("annotations_not_spans")


def _check_nesting(spans: Iterable[Span]) -> None:
    around: list[int] = []  # ends of the spans that the present one stands in
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        while around and around[-1] <= span.start:
            around.pop()
        if around and span.end > around[-1]:
            raise BrokenAnnotations("spans_overlap")
        around.append(span.end)
