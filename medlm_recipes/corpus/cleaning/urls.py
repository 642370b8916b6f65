"""URLs and DOIs out of running text, with what only they held together."""

import re

# Alternatives that each begin with a plain letter: Python searches for their first letters, several times
# faster than by any other spelling. A bare 10.1000/182 stays: without `doi`, it may be a ratio or a version.
_URL = re.compile(
    r"(?:http://|https://|Http://|Https://|HTTP://|HTTPS://|ftp://|FTP://"
    r"|www\.(?<!\wwww\.)(?=\w)|Www\.(?<!\wWww\.)(?=\w)|WWW\.(?<!\wWWW\.)(?=\w)"
    r"|doi(?<!\wdoi)[ ]?[:=]?[ ]?(?=10\.\d{4})|Doi(?<!\wDoi)[ ]?[:=]?[ ]?(?=10\.\d{4})"
    r"|DOI(?<!\wDOI)[ ]?[:=]?[ ]?(?=10\.\d{4}))"
    r"(?:[ ](?=www\.))?[^\s<>\"“”«»\[\]{}|\\^`\0]*"
)
_TRAILING = ".,;:!?'’*_…"  # belongs to the sentence when it ends a URL

_MARK = "\0"  # stands for a URL until its surroundings are mended

_LINK = re.compile(r"!?\[([^\[\]\0]*)\]\(\0[^()\0]*\)")  # Markdown: the words stay
_MARKER = re.compile(r"\[(\w+)\]\0\[/\1\]")  # GAP-Replay's markers around nothing but a URL
_LEAD_IN = (
    r"(?:\0|[\s,;:.&]|\b(?:see|also|and|or|at|from|on|via|in|the|available|accessed|accessible|online|"
    r"web|site|website|url|uri|doi|link|https?)\b)*"
)
_EMPTIED = re.compile(
    rf"(?<![ \t])[ \t]*(?:\((?=[^()]*\0){_LEAD_IN}\)|\[(?=[^\[\]]*\0){_LEAD_IN}\]|<\0>)",
    re.IGNORECASE,
)
_REST = re.compile(
    r"^[ \t]*\0[\0 \t]*"
    r"|[,;][ \t]*\0(?=[)\]]|\[/)"
    r"|(?<=[.!?])[ \t]*\0[.]"
    r"|(?<![ \t])[ \t]*\0(?:[ \t]+(?=[.,;:!?)]))?"
)


def remove_urls(text: str) -> str:
    """The text without its http, https, ftp and www addresses and its `doi:` and doi.org identifiers.

    Punctuation that ends a sentence stays; brackets that held nothing else go, with lead-ins like
    "available at"; of a Markdown link the words stay. A text without a URL is returned as it is.
    """
    if not _URL.search(text):
        return text
    lines = _URL.sub(_mark, text.replace(_MARK, "")).split("\n")
    return "\n".join([_mended(line) if _MARK in line else line for line in lines])


def _mended(line: str) -> str:
    line = _MARKER.sub(_MARK, _LINK.sub(r"\1", line))
    return _REST.sub("", _EMPTIED.sub("", line))


def _mark(url: re.Match[str]) -> str:
    """The sign in the URL's stead, and what was taken for its end but belongs to the sentence."""
    found = url.group()
    end = _unmatched_bracket(found)
    while end and found[end - 1] in _TRAILING:
        end -= 1
    return _MARK + found[end:]


def _unmatched_bracket(url: str) -> int:
    """Where a bracket closes that the URL did not open; its length when none does."""
    depth = 0
    for position, character in enumerate(url):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return position
    return len(url)
