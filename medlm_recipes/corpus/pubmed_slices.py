"""The records of a PubMed file as the bytes they are written in, for files written in NLM's way.

In such a file a root without attributes holds records and white space alone. A record that parses on its
own is then the element that a parser of the whole file would find: XML is read from left to right, and
nothing that a record could need stands before it. Every other file is for a parser of the whole.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from medlm_recipes.corpus.compressed import open_input

_CHUNK = 1 << 18  # stays in the cache: larger ones are slower
_LONGEST = 1 << 26  # bytes of a record; none of NLM's comes near
_LONGEST_HEAD = 1 << 12
_LONGEST_TAG = 100  # with the white space before it
_SPACE = rb"[ \t\r\n]*"
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:<\?xml\s+version=[\"']1\.0[\"'](?:\s+encoding=[\"'](?i:utf-8)[\"'])?"
    rb"(?:\s+standalone=[\"'](?:yes|no)[\"'])?\s*\?>)?"
    + _SPACE
    + rb"(?:<!DOCTYPE\s+PubmedArticleSet[^\[\]<>]*>)?"
    + _SPACE
    + rb"<PubmedArticleSet>"
)
_START = re.compile(_SPACE + rb"<(PubmedArticle|PubmedBookArticle|DeleteCitation)>")
_TAIL = re.compile(_SPACE + rb"</PubmedArticleSet>" + _SPACE)


class OtherForm(Exception):
    """The file is not written in NLM's way, or not well-formed: the parser of the whole file decides."""


def record_slices(path: Path) -> Iterator[bytes]:
    """Every PubmedArticle, PubmedBookArticle and DeleteCitation of a file, from its start tag to its end tag.

    The file is read to its end, so that damage is met. Raises OtherForm where NLM's way ends, and DAMAGE.
    """
    with open_input(path) as stream:
        held = stream.read(_LONGEST_HEAD)
        head = _HEAD.match(held)
        if not head:
            raise OtherForm
        at = head.end()
        while True:
            start = _START.match(held, at)
            end = held.find(b"</%b>" % start[1], start.end()) if start else -1
            if start and end >= 0:
                at = end + len(start[1]) + 3
                yield held[start.start(1) - 1 : at]
                continue
            rest = held[at:]
            if len(rest) > (_LONGEST if start else _LONGEST_TAG):
                raise OtherForm
            chunk = stream.read(_CHUNK)
            if not chunk:
                if _TAIL.fullmatch(rest):
                    return
                raise OtherForm
            held, at = rest + chunk, 0
