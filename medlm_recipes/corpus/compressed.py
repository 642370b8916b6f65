"""Reading and writing of plain, .gz and .zst files such that damage is never mistaken for the end.

backports.zstd (the standard library's compression.zstd of Python 3.14) raises on a truncated frame,
where python-zstandard ends silently.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from backports import zstd

from medlm_recipes.errors import DataError

MAX_RECORD_BYTES = 1 << 26
"""A record longer than this (64 MiB) is not held in memory; the longest real article is some MB."""

DAMAGE = (OSError, EOFError, zlib.error, zstd.ZstdError)
"""What reading a missing, unreadable or damaged file raises."""

_BUFFER = 1 << 20
_LEVEL = 3


def open_input(path: Path) -> IO[bytes]:
    """The decompressed bytes of a file; compression goes by the name's end. Reading raises DAMAGE."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(IO[bytes], io.BufferedReader(zstd.ZstdFile(path, "rb"), _BUFFER))
    return open(path, "rb", buffering=_BUFFER)


def open_output(path: Path) -> IO[bytes]:
    """A .zst file to write, checksummed; the same bytes written give the same file."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return cast(IO[bytes], io.BufferedWriter(zstd.ZstdFile(path, "wb", options=options), _BUFFER))


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers (from 1) and lines of a file; lines of white space alone are left out.

    A line above MAX_RECORD_BYTES comes cut to one byte more, so that the caller can tell.
    Raises DataError when the file is missing or damaged, with the number of the last whole line.
    """
    number = 0
    try:
        with open_input(path) as stream:
            while line := stream.readline(MAX_RECORD_BYTES + 1):
                number += 1
                if len(line) > MAX_RECORD_BYTES:
                    _skip_line(stream, line)
                if not line.isspace():
                    yield number, line
    except DAMAGE as error:
        raise damaged(path, error, f"after line {number:,}") from None


def _skip_line(stream: IO[bytes], piece: bytes) -> None:
    while piece and not piece.endswith(b"\n"):
        piece = stream.readline(MAX_RECORD_BYTES)


def damaged(path: Path, error: Exception, where: str) -> DataError:
    """The message for one of DAMAGE, met while reading `path`."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file")
    if isinstance(error, EOFError):
        return DataError(f"{path}: truncated {where}; fetch the file again")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path}: cannot be read {where} ({error.strerror})")
    return DataError(f"{path}: damaged {where} ({error}); fetch the file again")
