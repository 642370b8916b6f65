"""Which split a document belongs to, from its id and the seed alone."""

import hashlib

_HASHES = 1 << 64


def split_of(identifier: str, seed: int, validation_fraction: float) -> str:
    """`train` or `validation`; independent of order, files and workers.

    The first 64 bits of sha256("seed:id") are uniform, so that `validation_fraction` of the ids
    fall below that share of their range.
    """
    digest = hashlib.sha256(f"{seed}:{identifier}".encode()).digest()
    is_validation = int.from_bytes(digest[:8], "big") < int(validation_fraction * _HASHES)
    return "validation" if is_validation else "train"
