"""One address to one verified file.

A file grows as `<name>.part` beside its place and gets its name when its checksum is right, so that
nothing under a final name is half a file. `<name>.part.json` says which version of the remote file the
part is of: only that one is continued.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from medlm_recipes.checksums import Digests, digest_file
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.expected import Expected
from medlm_recipes.fetching.transport import RANGE_REFUSED, FetchError, Stopped, Temporary, Transport
from medlm_recipes.manifest import write_json

PART, VERSION, DAMAGED = ".part", ".part.json", ".damaged"

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class FileRecord:
    """A verified file. name: its path below the fetched folder. new: fetched by this run."""

    name: str
    url: str
    digests: Digests
    new: bool


@dataclass(frozen=True)
class _Version:
    """The version of a remote file that a part is of. bytes: of the whole file, where the server says."""

    url: str
    etag: str | None
    modified: str | None
    bytes: int | None

    @property
    def validator(self) -> str | None:
        """What If-Range may hold (RFC 9110, 13.1.5): a strong ETag, or else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def bring(transport: Transport, out: Path, name: str, url: str, expected: Callable[[], Expected]) -> FileRecord:
    """The file `name` below `out`, kept when it is the expected one and fetched when it is not.

    expected: asked again when the checksum is wrong, since the server may just have changed file and checksum.
    A file that is wrong after `retry.downloads` downloads is put aside under `<name>.damaged`, as is a
    wrong one that stood there. Raises FetchError for such a file and one that the server does not
    deliver, DataError when the disk is full or the folder cannot be written.
    """
    target = out / name
    part, aside = target.with_name(target.name + PART), target.with_name(target.name + DAMAGED)
    wanted = expected()
    try:
        if target.is_file() and wanted.checkable:
            digests = digest_file(target)
            if wanted.problem(target, digests) is None:
                return FileRecord(name, url, digests, new=False)
            target.replace(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        for download in range(1, transport.retry.downloads + 1):
            etag = _download(transport, url, part)
            digests = digest_file(part)
            problem = wanted.answered(etag).problem(part, digests)
            if problem:
                wanted = expected()
                problem = wanted.answered(etag).problem(part, digests)
            if problem is None:
                _publish(part, target)
                aside.unlink(missing_ok=True)
                return FileRecord(name, url, digests, new=True)
            if download == transport.retry.downloads:
                part.replace(aside)
                _forget(part)
                raise FetchError(f"{url}: {problem}, in {download} downloads; put aside as {aside}")
            _forget(part)
            transport.pause(download, url)
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror or error}); mend that and run it again: "
            "what is there is kept"
        ) from None
    raise AssertionError("unreachable")


def _publish(part: Path, target: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # a power cut must not leave the name without the bytes
    finally:
        os.close(descriptor)
    part.replace(target)
    _forget(part)


def _forget(part: Path) -> None:
    """Remove a part, its version last: a version without a part means nothing."""
    part.unlink(missing_ok=True)
    _version_path(part).unlink(missing_ok=True)


def _version_path(part: Path) -> Path:
    return part.with_name(part.name.removesuffix(PART) + VERSION)


def _download(transport: Transport, url: str, part: Path) -> str | None:
    """Make `part` the whole of the remote file, going on from what it holds; returns the server's ETag."""

    def attempt() -> str | None:
        version, have = _resumable(part, url)
        if version and version.bytes == have:
            return version.etag
        headers = {"Range": f"bytes={have}-", "If-Range": version.validator or ""} if version and have else {}
        with transport.open(url, headers) as response:
            going_on = version is not None and have > 0 and response.status_code == 206
            if response.status_code == RANGE_REFUSED or (going_on and not _continues(response, version, have)):
                _forget(part)
                raise Temporary("the server has another file than the one begun")
            if response.status_code == 206 and not going_on:
                raise Temporary("a part came where the whole was asked for")
            if not going_on:
                version = _begin(part, url, response)
            assert version is not None
            with open(part, "ab") as stream:
                for chunk in response.iter_raw():
                    stream.write(chunk)
                    if transport.stop.is_set():
                        raise Stopped
        size = part.stat().st_size
        if version.bytes is not None and size != version.bytes:
            if size > version.bytes:
                _forget(part)
            raise Temporary(f"{size:,} of {version.bytes:,} bytes came")
        return version.etag

    return transport.retrying(url, attempt, lambda: part.stat().st_size if part.is_file() else 0)


def _resumable(part: Path, url: str) -> tuple[_Version | None, int]:
    """What `part` is of and its bytes; (None, 0) when there is none or it cannot be gone on with."""
    try:
        version = _Version(**json.loads(_version_path(part).read_text()))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    usable = version.url == url and version.validator and (version.bytes is None or have <= version.bytes)
    return (version, have) if usable else (None, 0)


def _begin(part: Path, url: str, response: httpx.Response) -> _Version:
    """An empty part of the answered version. In this order a kill leaves no part under a wrong version."""
    length = response.headers.get("Content-Length", "")
    version = _Version(
        url,
        response.headers.get("ETag"),
        response.headers.get("Last-Modified"),
        int(length) if length.isdecimal() else None,
    )
    part.unlink(missing_ok=True)
    write_json(_version_path(part), asdict(version))
    part.touch()
    return version


def _continues(response: httpx.Response, version: _Version | None, have: int) -> bool:
    """Whether a 206 is the rest of the part's own version: a server may ignore If-Range."""
    assert version is not None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if not match or int(match[1]) != have:
        return False
    if match[2] != "*" and version.bytes is not None and int(match[2]) != version.bytes:
        return False
    for before, now in ((version.etag, "ETag"), (version.modified, "Last-Modified")):
        if before and response.headers.get(now, before) != before:
            return False
    return True
