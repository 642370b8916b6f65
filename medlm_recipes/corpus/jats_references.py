"""What the cross-references of a JATS article point to, as GAP-Replay's markers write it."""

import re
from typing import Any

from medlm_recipes.corpus.jats_formulas import plain_text
from medlm_recipes.corpus.markers import citation, float_reference

FIGURES = ("fig", "fig-group")
TABLES = ("table-wrap", "table-wrap-group")

_CITATIONS = ("element-citation", "mixed-citation", "nlm-citation", "citation")
_TITLES = ("article-title", "chapter-title", "part-title", "data-title", "trans-title", "source")
_NAMES = ("name", "string-name", "collab")
_FLOAT_WORD = re.compile(r"(?:(fig)(?:ure)?|(tab)(?:le)?)s?\b[\s.]*", re.IGNORECASE)


class References:
    """The markers of one article's xrefs, made when they are first asked for."""

    def __init__(self, article: Any) -> None:
        targets = article.iter("ref", *_CITATIONS, *FIGURES, *TABLES)
        self._targets = {element.get("id"): element for element in targets if element.get("id")}
        self._markers: dict[str, str] = {}

    def markers(self, xref: Any) -> list[str]:
        """A marker for everything that an xref points to; empty when there is nothing to say about some of it."""
        found = [self._marker(one, xref) for one in xref.get("rid", "").split() if one in self._targets]
        return found if all(found) else []

    def _marker(self, identifier: str, xref: Any) -> str:
        if identifier not in self._markers:
            target = self._targets[identifier]
            is_float = target.tag in FIGURES + TABLES
            self._markers[identifier] = _float(target, xref) if is_float else _cited(target)
        return self._markers[identifier]


def float_label(element: Any, label: str) -> str:
    """ "Figure 3" for the labels Fig. 3, FIGURE 3: and 3 of a figure; "Table 3" likewise. Others stay."""
    label = label.strip(" .:")
    word = _FLOAT_WORD.match(label)
    if word and word.end() < len(label):
        return f"{'Figure' if word[1] else 'Table'} {label[word.end() :]}"
    if label[:1].isdigit():
        return f"{'Table' if element.tag in TABLES else 'Figure'} {label}"
    return label


def _float(element: Any, xref: Any) -> str:
    """Empty for one without a caption."""
    caption = " ".join(plain_text(part) for part in element.iterfind("caption/*"))
    label = plain_text(element.find("label")) or plain_text(xref)
    return float_reference(float_label(element, label), caption) if caption else ""


def _cited(ref: Any) -> str:
    """Empty for an entry without marked-up title and author."""
    entry = next(ref.iter(*_CITATIONS), ref)
    titles = (plain_text(next(entry.iter(tag), None)) for tag in _TITLES)
    title = next(filter(None, titles), "")
    author = _first_author(entry)
    return citation(title, author) if title or author else ""


def _first_author(entry: Any) -> str:
    authors = (group for group in entry.iter("person-group") if group.get("person-group-type", "author") == "author")
    name = next(next(authors, entry).iter(*_NAMES), None)
    if name is None:
        return ""
    surname = name.find("surname")
    return plain_text(name if surname is None else surname)
