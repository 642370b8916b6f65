"""Full texts in JATS (PMC's .nxml and .xml, single or in .tar packages) to documents."""

import io
from collections.abc import Iterator, Mapping
from typing import IO, Any

from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus import archives
from medlm_recipes.corpus.compressed import DAMAGE, MAX_RECORD_BYTES, damaged, open_input
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import EXCERPT_CHARACTERS, Document, Item, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.jats_metadata import article_id, article_metadata
from medlm_recipes.corpus.jats_text import TooDeepError, read_article
from medlm_recipes.corpus.safe_xml import free, parse_elements

_ARTICLES = (".nxml", ".xml")
ENDINGS = (*_ARTICLES, *(f"{ending}.gz" for ending in _ARTICLES), *archives.ENDINGS)


def read_pmc_jats(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item an article, one for what is no article or not well-formed, and one for every other member.

    At the end comes the Coverage of the file. Raises DataError for a missing file, a damaged archive
    and damaged compression.
    """
    assert not leave_out
    reader = _Reader(file, config)
    if file.path.name.endswith(archives.ENDINGS):
        for member in archives.read_members(file.path, _ARTICLES):
            if member.content is not None:
                yield from reader.read(io.BytesIO(member.content), member.name)
            elif member.refused:
                yield Reject(file.name, member.name, member.refused, "")
            else:
                yield Skipped("not_an_article")
    else:
        try:
            with open_input(file.path) as stream:
                yield from reader.read(stream, "")
        except DAMAGE as error:
            raise damaged(file.path, error, "as XML") from None
    yield reader.coverage


class _Reader:
    """The articles of one input file. coverage: of those read so far."""

    def __init__(self, file: InputFile, config: CorpusConfig) -> None:
        self._file = file
        self._config = config
        self.coverage = Coverage()

    def read(self, stream: IO[bytes], member: str) -> Iterator[Item]:
        """One item for every article of a stream, however it wraps them, and one for what cannot be read."""
        done = 0
        bounded = _Bounded(stream)
        try:
            for article in parse_elements(bounded, ("{*}article",)):
                done += 1
                yield self._article(article, self._place(member, done))
                free(article)
                bounded.left = MAX_RECORD_BYTES
            reason, excerpt = ("", "") if done else ("no_article", bounded.begin)
        except etree.XMLSyntaxError as error:
            reason, excerpt = ("too_deep" if "depth" in error.msg else "not_well_formed"), error.msg
        except _TooLongError:
            reason, excerpt = "too_long", bounded.begin
        if reason:
            yield Reject(self._file.name, self._place(member, done + 1), reason, excerpt)

    def _place(self, member: str, number: int) -> str:
        return f"{member} article {number}".strip() if number > 1 or not member else member

    def _article(self, article: Any, place: str) -> Document | Reject:
        _leave_namespace(article)
        if next(article.iter(etree.Entity), None) is not None:
            # Entities are not expanded, and a text with a hole in it is worse than none.
            return self._reject(place, "unresolved_entity", article)
        coverage = Coverage()
        try:
            read = read_article(article, self._config.markers == "gap_replay", coverage)
        except TooDeepError:
            return self._reject(place, "too_deep", article)
        if not read.has_body:
            return self._reject(place, "no_body", article)
        self.coverage.add(coverage)
        metadata = article_metadata(article, read.title, f"{self._file.name}/{place}")
        identifier = article_id(metadata) or f"{self._file.name}/{place}"
        return Document(identifier, read.text, self._config.source, metadata)

    def _reject(self, place: str, reason: str, article: Any) -> Reject:
        title = next(article.iter("article-title"), article)
        return Reject(self._file.name, place, reason, "".join(title.itertext())[: 4 * EXCERPT_CHARACTERS].strip())


class _TooLongError(Exception):
    """An article of more than MAX_RECORD_BYTES."""


class _Bounded:
    """A stream that gives `left` more bytes. begin: how it begins, for people."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left = MAX_RECORD_BYTES
        self.begin = ""

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.begin = self.begin or content[: 4 * EXCERPT_CHARACTERS].decode(errors="replace").strip()
        self.left -= len(content)
        if self.left < 0:
            raise _TooLongError
        return content


def _leave_namespace(article: Any) -> None:
    """Give an article that was served in JATS's namespace, as by OAI-PMH, the plain names of a file."""
    namespace = etree.QName(article).namespace
    if namespace:
        for element in article.iter(f"{{{namespace}}}*"):
            element.tag = etree.QName(element).localname
