"""The text of an S2ORC record, put together from its annotations: one paragraph, heading or caption a line.

Abstract and body stand under `#` headings, one # for each level; authors, bibliography,
acknowledgements and the bodies of tables are left out. Between the first annotated block and the first
figure, table or bibliography entry, text that no annotation names is kept as well.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from medlm_recipes.corpus.markers import marked
from medlm_recipes.corpus.s2orc_annotations import MARGINS, Span
from medlm_recipes.corpus.s2orc_references import References, is_table, placeholder, plain, set_in

_BLOCKS = ("abstract", "sectionheader", "paragraph", "formula")
_BEHIND = ("figure", "table", "bibentry")
_DEEPEST = 6
_LEFT_OUT = re.compile(
    r"""(?:[a-z]+\ )* acknowled?ge?ments? (?:\ .*)?
    | references | bibliography | literature\ cited
    | (?:[a-z]+\ )* (?:competing|conflicts?\ of|conflicting|declarations?\ of) (?:\ [a-z]+)* \ interests? (?:\ .*)?
    | (?:sources?\ of\ )? (?:funding|financial\ support) (?:\ (?:sources?|information|statement|support))?
    | (?:credit\ )? (?:authors?|authorship) (?:\ contributions?|\ statement|\ information)+
    """,
    re.VERBOSE,
)  # of headings as small letters and spaces
_MAIN = re.compile(
    r"abstract|introduction|background|related|method|material|result|analysis|discussion|conclusion|contribution"
    r"|statement|declaration|strength|limitation|future research|funding|disclosure|acknowledg|ethic|appendix",
    re.IGNORECASE,
)  # GAP-Replay's list of what, in at most three words, is a main section


def title_of(text: str, spans: Mapping[str, Sequence[Span]]) -> str:
    """The first of the annotated titles (S2ORC often has it twice), empty when there is none."""
    titles = spans["title"]
    return plain(text[titles[0].start : titles[0].end]) if titles else ""


def lines_of(text: str, spans: Mapping[str, Sequence[Span]], with_markers: bool) -> Iterator[str]:
    """The lines below the title, an empty one before each heading.

    with_markers: references, captions and formulas as GAP-Replay writes them, otherwise as they stand.
    Headings without any text below them are dropped.
    """
    write = _Writer(text, spans, with_markers)
    left_out = False
    waiting: list[tuple[int, str]] = []  # headings that nothing stands under so far
    main_was_seen = False
    for block in _body(text, spans):
        if block.kind == "sectionheader":
            heading = plain(text[block.start : block.end])
            level = _level(block, heading, main_was_seen)
            main_was_seen |= level == 1
            left_out = bool(_LEFT_OUT.fullmatch(" ".join(re.findall("[a-z]+", heading.lower()))))
            waiting = [one for one in waiting if one[0] < level]
            if heading and not left_out:
                waiting.append((level, heading))
        elif block.kind == "figure":
            yield from write.float(block)
        elif not left_out and (line := write.block(block)):
            if block.kind == "abstract" and not waiting:
                waiting.append((1, "Abstract"))
            for level, heading in waiting:
                yield from ("", f"{'#' * level} {heading}")
            waiting.clear()
            yield line


def _level(header: Span, heading: str, main_was_seen: bool) -> int:
    """By its number, 2.1. is 2; without one by GAP-Replay's list."""
    number = str(header.attributes.get("n") or "")
    if parts := [part for part in number.split(".") if part.strip()]:
        return min(len(parts), _DEEPEST)
    return 1 if not main_was_seen or (len(heading.split()) <= 3 and _MAIN.search(heading)) else 2


def _body(text: str, spans: Mapping[str, Sequence[Span]]) -> Iterator[Span]:
    """Headers, paragraphs, formulas and figures that stand in none of each other, in their order.

    An abstract that is divided is its parts, and a stretch that no annotation names is a paragraph.
    """
    parts = [*spans["sectionheader"], *spans["paragraph"]]
    abstracts = [one for one in spans["abstract"] if not any(map(one.holds, parts))]
    blocks = [*abstracts, *parts, *spans["formula"]]
    if not blocks:
        return
    behind = [span.start for kind in _BEHIND for span in spans[kind]]
    end = min(span.start for span in blocks)
    gaps_until = min((start for start in behind if start > end), default=len(text))
    others = [span for kind in ("title", *_BEHIND, *MARGINS) for span in spans[kind]]
    for span in sorted([*blocks, *others], key=lambda span: (span.start, -span.end)):
        yield from _gap(text, end, min(span.start, gaps_until))
        if span.end > end:
            if span.kind in (*_BLOCKS, "figure"):
                yield span
            end = span.end
    yield from _gap(text, end, gaps_until)


def _gap(text: str, start: int, end: int) -> Iterator[Span]:
    if any(character.isalnum() for character in text[start:end]):
        yield Span(start, end, "paragraph")


class _Writer:
    """Writes single blocks."""

    def __init__(self, text: str, spans: Mapping[str, Sequence[Span]], with_markers: bool) -> None:
        self._text = text
        self._references = References(text, spans)
        self._with_markers = with_markers
        inline = [span for kind in ("bibref", "figureref", "tableref", "formula") for span in spans[kind]]
        self._inline = sorted(inline, key=lambda span: (span.start, -span.end))

    def float(self, figure: Span) -> Iterator[str]:
        """The caption of a figure or table, if it has one."""
        label, caption = self._references.label_and_caption(figure)
        if caption:
            line = f"{label}: {caption}" if label else caption
            yield marked("table" if is_table(figure) else "fig", line) if self._with_markers else line

    def block(self, block: Span) -> str:
        """A paragraph, abstract or formula on one line."""
        if not self._with_markers:
            return plain(self._text[block.start : block.end])
        pieces: list[str] = []
        markers: list[str] = []
        at = block.start
        first = bisect_left(self._inline, block.start, key=lambda span: span.start)
        for number in range(first, len(self._inline)):
            span = self._inline[number]
            if span.start >= block.end:
                break
            if span.start < at:
                continue
            own = plain(self._text[span.start : span.end])
            if span.kind == "formula":
                piece = f" {marked('formula', own)} " if own else ""
            elif marker := self._references.marker(span):
                piece = placeholder(span)
                markers.append(marker)
            else:
                continue
            pieces += [self._text[at : span.start], piece]
            at = span.end
        pieces.append(self._text[at : block.end])
        return set_in(" ".join("".join(pieces).split()), markers)
