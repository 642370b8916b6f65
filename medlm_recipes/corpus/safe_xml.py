"""How foreign XML is parsed: entities are neither expanded nor fetched, no DTD is loaded, the network is off.

libxml2's own bounds stay on: elements at most 256 deep, a text node at most 10 MB.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from lxml import etree

_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "remove_comments": True,
    "remove_pis": True,
}

_iterparse: Any = etree.iterparse  # lxml-stubs lack it


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def parse_elements(stream: Readable, tags: tuple[str, ...] | None, event: str = "end") -> Iterator[Any]:
    """Yield the elements with one of `tags` (None: all) as they begin or end.

    Raises etree.XMLSyntaxError for what is not well-formed, and what reading the stream raises.
    """
    for _, element in _iterparse(stream, events=(event,), tag=tags, **_SAFE):
        yield element


def free(element: Any) -> None:
    """Empty an element that is done with, and drop everything before it, which no event will come for."""
    element.clear()
    while element is not None:
        while (before := element.getprevious()) is not None:
            element.getparent().remove(before)
        element = element.getparent()


def element_parser() -> Any:
    """For etree.fromstring of many elements, one after another, by the same rules."""
    return etree.XMLParser(**_SAFE)
