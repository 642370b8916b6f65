"""What of a JATS article is no text of its own: the one list of what is left out."""

import re
from typing import Any

_OASIS = (  # whose tables JATS allows beside its own
    "http://www.niso.org/standards/z39-96/ns/oasis-exchange/table",
    "http://docs.oasis-open.org/ns/oasis-exchange/table",
)

ELEMENTS = (
    *("contrib-group", "aff", "author-notes", "bio", "sig-block", "ack"),
    *("ref-list", "fn-group"),
    *("table", "array", *(f"{{{namespace}}}table" for namespace in _OASIS)),
    *("permissions", "copyright-statement", "history", "object-id", "self-uri", "processing-meta", "custom-meta-group"),
    *("alt-text", "long-desc", "index-term", "index-term-range-end"),
    *("alt-title", "trans-title", "trans-subtitle", "trans-abstract"),
)
"""Authors and acknowledgements; bibliography and footnote groups; table bodies; rights and identifiers; what
stands for pictures and in indices; other titles and translations."""

ABSTRACTS = frozenset({"graphical", "teaser", "toc", "web-summary", "precis"})
"""Types of abstracts that repeat the abstract proper in a line, or are a picture."""

SUB_ARTICLES = frozenset(
    {"translation", "decision-letter", "reply", "author-comment", "editor-report", "reviewer-report", "referee-report"}
    | {"peer-review", "aggregated-review-documents"}
)
"""Types of sub-articles that are the article in another language, or what was written in reviewing it."""

_SECTIONS = re.compile(
    r"""(?:
      (?:[\w ]*\ )? acknowled?ge?ments? (?:\ .*)?
    | (?:references|bibliography|literature\ cited)
    | (?:[\w ]*\ )? (?:competing|conflicts?\ of|conflicting|declarations?\ of) (?:\ [\w ]+)?\ interests?
          (?:\ (?:statement|disclosures?|declaration))?
    | (?:disclosures?|disclosure\ statements?|financial\ disclosures?)
    | (?:sources?\ of\ )? (?:funding|financial\ support|grant\ support)
          (?:\ (?:sources?|information|statement|support|disclosure))?
    | (?:the\ )? (?:individual\ )? (?:credit\ )? (?:authors?|authorship)
          (?:\ contributions?|\ roles|\ information|\ details|\ statement)+ (?:\ .*)?
    | credit\ (?:author\ )?(?:statement|contributions?) | contributor(?:s|ship) (?:\ statement)?
    | about\ the\ authors? | publishers?\ note | pre\ ?publication\ history | provenance\ and\ peer\ review
    )""",
    re.VERBOSE,
)
_LONGEST_TITLE = 120  # characters; a longer one is none of these
_SECTION_TYPES = re.compile(
    r"coi-statement|conflicts?|competing-interests?|funding(?:-\w+)?|financial-disclosure|author-contributions?"
    r"|acknowled?ge?ments?|disclaimer"
)


def leaves_out_section(section: Any, at_the_margin: bool) -> bool:
    """Whether a section is about authors, funding or interests, or an acknowledgement, by its type or title.

    at_the_margin: whether it is a main section or in the back matter. Elsewhere Funding and Disclosure
    are what a study is about.
    """
    if not at_the_margin:
        return False
    kind = (section.get("sec-type") or section.get("notes-type") or "").casefold()
    title = section.find("title")
    name = "" if title is None else "".join(title.itertext()).casefold().replace("’", "").replace("'", "")
    words = " ".join(re.findall(r"[a-z]+", name[: _LONGEST_TITLE + 1]))
    is_named = len(name) <= _LONGEST_TITLE and _SECTIONS.fullmatch(words) is not None
    return is_named or _SECTION_TYPES.fullmatch(kind) is not None
