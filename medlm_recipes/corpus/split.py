"""Which split or sample a document belongs to, from its id alone."""

import hashlib

_HASHES = 1 << 64


def split_of(identifier: str, seed: int, validation_fraction: float) -> str:
    """`train` or `validation`; independent of order, files and workers."""
    return "validation" if is_within(f"{seed}:{identifier}", validation_fraction) else "train"


def is_within(name: str, fraction: float) -> bool:
    """Whether a name belongs to the given share of all names.

    The first 64 bits of its sha256 are uniform, so that this share of the names falls below that share
    of their range; a larger share keeps what a smaller one chose.
    """
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < int(fraction * _HASHES)
