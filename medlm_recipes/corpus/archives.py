"""Tar archives read as a stream: nothing is unpacked, and damage is never mistaken for the end."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from medlm_recipes.corpus.compressed import DAMAGE, MAX_RECORD_BYTES, damaged, open_input
from medlm_recipes.errors import DataError

ENDINGS = (".tar", ".tar.gz")

_LONGEST_HEADER = 1 << 14  # bytes of a long name or of pax records: tarfile takes quadratic time over these
_LONGEST_MEMBER = 1 << 36  # bytes; tarfile goes on reading for as long as a damaged size says
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_BUFFER = 1 << 16


@dataclass(frozen=True)
class Member:
    """content: None when it was not read, because of what `refused` says or because its ending is another.

    refused: unsafe_name (absolute, or leading out of the archive), not_a_file (a link, device or sparse
    file) or too_long (over MAX_RECORD_BYTES).
    """

    name: str
    content: bytes | None
    refused: str = ""


def read_members(path: Path, endings: tuple[str, ...]) -> Iterator[Member]:
    """The members of an archive in their order, folders left out.

    Raises DataError when it is missing or damaged, or holds more after its end.
    """
    done = 0
    try:
        with open_input(path) as stream, _open(stream) as archive:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # it keeps all of a package's hundreds of thousands
                if archive.offset - archive.fileobj.tell() > _LONGEST_MEMBER:
                    raise tarfile.ReadError(f"a member of {member.size:,} bytes")
                if not member.isdir():
                    yield _read(archive, member, endings)
                done += 1
            while rest := archive.fileobj.read(_BUFFER):
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("data after the archive's end")
    except DAMAGE as error:
        raise damaged(path, error, f"after {done:,} members") from None
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: damaged after {done:,} members ({error}); fetch the file again") from None


def _open(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(
        fileobj=stream, mode="r|", bufsize=_BUFFER, tarinfo=_Header, encoding="utf-8", errors="backslashreplace"
    )


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, endings: tuple[str, ...]) -> Member:
    if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
        return Member(member.name, None, "unsafe_name")
    content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        return Member(member.name, None, "not_a_file")
    if not member.name.endswith(endings):
        return Member(member.name, None)
    if member.size > MAX_RECORD_BYTES:
        return Member(member.name, None, "too_long")
    return Member(member.name, content.read())


class _Header(tarfile.TarInfo):
    """A header that is strict: tarfile itself takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            is_end = len(buf) == tarfile.BLOCKSIZE and not any(buf)
            raise error if is_end else tarfile.ReadError(str(error)) from None
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _LONGEST_HEADER):
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header
