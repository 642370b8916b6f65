"""Checksums of files, and the `.md5` companions that NLM publishes beside its files."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import hash_file

COMPANION = ".md5"
"""What the name of a file's companion adds to the file's own."""

_CHUNK = 1 << 20
_MOST_BYTES = 1 << 16  # of a companion; NLM's have 60
_MD5 = re.compile(r"(?:^\\?|=\s*)([0-9a-fA-F]{32})(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True)
class Digests:
    """bytes: the file's size. md5, sha256: of its bytes, in hex."""

    bytes: int
    md5: str
    sha256: str


def digest_file(path: Path) -> Digests:
    """Size, MD5 and sha256 of a file, which is read once."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            size += len(chunk)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def parse_companion(content: bytes) -> str | None:
    """The MD5 that a companion names, in lower case; None when it does not name exactly one.

    Read are openssl's `MD5(name)= hash` (NLM's way), BSD's `MD5 (name) = hash`, md5sum's
    `hash  name`, and a bare hash.
    """
    found = {one.lower() for one in _MD5.findall(content.decode("utf-8", "replace"))}
    return found.pop() if len(found) == 1 else None


def verified_sha256(path: Path) -> str:
    """sha256 of a file, in hex; where a `.md5` companion stands beside it, the file must have its MD5.

    Raises DataError when it has another, and when the companion names none.
    """
    companion = path.with_name(path.name + COMPANION)
    if not companion.is_file():
        return hash_file(path)
    with open(companion, "rb") as stream:
        expected = parse_companion(stream.read(_MOST_BYTES))
    if expected is None:
        raise DataError(f"{companion}: names no MD5; fetch it again, or remove it to read {path.name} unverified")
    digests = digest_file(path)
    if digests.md5 != expected:
        raise DataError(
            f"{path}: damaged: its MD5 is {digests.md5}, but {companion.name} says {expected}; fetch the file again"
        )
    return digests.sha256
