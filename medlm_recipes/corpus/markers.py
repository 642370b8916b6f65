"""GAP-Replay's markers of what is no prose, and what stands between them.

The MediTron paper prints them in capitals; the released tokenizers have them as added tokens in lower
case, and so have the texts here: in capitals every marker would fall into pieces.
"""

import re
from typing import Literal

MARKERS = (
    "[bib_ref]",
    "[/bib_ref]",
    "[fig_ref]",
    "[/fig_ref]",
    "[bib]",
    "[/bib]",
    "[fig]",
    "[/fig]",
    "[table]",
    "[/table]",
    "[formula]",
    "[/formula]",
)
"""The added tokens, in the order in which the released tokenizers number them."""

# They stand for the markers while a line is put together. XML can hold neither character.
CITATION, FLOAT = PLACEHOLDERS = "\x02", "\x03"
ANY_PLACEHOLDER = f"[{CITATION}{FLOAT}]"
_LISTED = re.compile(rf"({ANY_PLACEHOLDER})[\s,;–—-]*(?={ANY_PLACEHOLDER})")
_BRACKETED = re.compile(rf"[(\[]\s*((?:{ANY_PLACEHOLDER} )*{ANY_PLACEHOLDER})\s*[)\]]")

_MOST_WORDS = 12  # of a cited title or of a caption that is referred to


def marked(name: Literal["bib_ref", "fig_ref", "fig", "table", "formula"], text: str) -> str:
    return f"[{name}]{text}[/{name}]"


def citation(title: str, author: str) -> str:
    """The marker in the place of an in-text citation. author: the first one's last name, or empty."""
    return marked("bib_ref", ", ".join(filter(None, (_cut(title), author))))


def float_reference(label: str, caption: str) -> str:
    """The marker in the place of a reference to a figure or table. label: "Figure 3"."""
    return marked("fig_ref", ": ".join(filter(None, (label, _cut(caption)))))


def without_brackets(text: str) -> str:
    """A line with placeholders, less the brackets and separators that would be left over around the markers."""
    return _BRACKETED.sub(r"\1", _LISTED.sub(r"\1 ", text))


def _cut(text: str) -> str:
    return " ".join(text.split()[:_MOST_WORDS]).rstrip(" .,:;")
