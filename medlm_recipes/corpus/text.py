"""Plain text: one document a .txt file."""

from collections.abc import Iterator, Mapping

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.compressed import DAMAGE, MAX_RECORD_BYTES, damaged, open_input
from medlm_recipes.corpus.document import EXCERPT_CHARACTERS, Document, Item, Reject
from medlm_recipes.corpus.inputs import InputFile

ENDINGS = (".txt",)


def read_text(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """The file's one item. Raises DataError when it is missing or cannot be read."""
    assert not leave_out
    try:
        with open_input(file.path) as stream:
            content = stream.read(MAX_RECORD_BYTES + 1)
    except DAMAGE as error:
        raise damaged(file.path, error, "as text") from None
    excerpt = content[: 4 * EXCERPT_CHARACTERS].decode(errors="replace")
    if len(content) > MAX_RECORD_BYTES:
        yield Reject(file.name, "file", "too_long", excerpt)
        return
    try:
        # As universal newlines would read it; a byte order mark is no part of the text.
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        yield Reject(file.name, "file", "not_utf8", excerpt)
        return
    yield Document(file.name, text, config.source, {"file": file.name})
