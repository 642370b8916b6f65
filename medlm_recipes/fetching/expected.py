"""What is known of a file before it is fetched, and whether its bytes are those."""

import gzip
import hashlib
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from medlm_recipes.checksums import Digests

_CHUNK = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


def md5_of_etag(etag: str | None) -> str | None:
    """The MD5 that an S3 ETag is, unless the object was uploaded in parts (`hash-parts`) or encrypted by key."""
    bare = (etag or "").strip().strip('"').lower()
    return bare if _MD5.fullmatch(bare) else None


@dataclass(frozen=True)
class Expected:
    """None: not known. git_blob: sha1 of a git object, as the hub names files that are not in LFS.

    gzip: without an MD5, the file's own checksum is to be right. etag: the server is an S3 one, whose
    ETag of a download is the MD5 of just that download.
    """

    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    git_blob: str | None = None
    gzip: bool = False
    etag: bool = False

    @property
    def checkable(self) -> bool:
        """Whether a file that stands already can be told from a wrong one."""
        return bool(self.md5 or self.sha256 or self.git_blob or self.gzip or self.bytes is not None)

    def answered(self, etag: str | None) -> "Expected":
        """The same for a download of which the server gave this ETag: a bucket can be newer than its listing."""
        md5 = md5_of_etag(etag) if self.etag else None
        return replace(self, md5=md5, bytes=None) if md5 else self

    def problem(self, path: Path, digests: Digests) -> str | None:
        """What is wrong with the file at `path`; None when it is the expected one."""
        for what, found, known in (
            ("size", digests.bytes, self.bytes),
            ("MD5", digests.md5, self.md5),
            ("sha256", digests.sha256, self.sha256),
        ):
            if known is not None and found != known:
                return f"its {what} is {found}, not {known}"
        if self.git_blob is not None and _git_blob(path, digests.bytes) != self.git_blob:
            return f"it is not the git object {self.git_blob}"
        if self.gzip and self.md5 is None:
            return _gzip_problem(path)
        return None


def _git_blob(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _gzip_problem(path: Path) -> str | None:
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read(_CHUNK):
                pass
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"it is no whole gzip file ({error})"
    return None
