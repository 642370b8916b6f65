"""What a conversion will take, from a few documents of every stream, before it begins."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backports import zstd

from medlm_recipes.corpus.document import document_files, read_texts
from medlm_recipes.errors import DataError
from medlm_recipes.shards.packing import in_batches
from medlm_recipes.shards.tokens import CheckedEncoder
from medlm_recipes.token_math import in_words

_SAMPLED_CHARACTERS = 1 << 18  # of every stream


@dataclass
class Estimate:
    """tokens; bytes of the files of ids that stand aside while the shards are written, and of the shards."""

    tokens: float = 0
    aside: float = 0
    shards: float = 0

    def __str__(self) -> str:
        return (
            f"about {in_words(round(self.tokens))} tokens: {self.shards / 1e9:,.2f} GB of shards, and while they are "
            f"written {self.aside / 1e9:,.2f} GB aside"
        )


def estimate(
    documents: str, streams: Iterable[tuple[str, str, int]], encoder: CheckedEncoder, compressed: bool
) -> Estimate:
    """From the first documents of every stream (split, source, bytes of text), which are taken as typical."""
    total = Estimate()
    for split, source, size in streams:
        for path in document_files(documents, split, source)[:1]:
            sample = next(in_batches(read_texts(path), _SAMPLED_CHARACTERS), [])
            if not sample:
                continue
            ids = encoder.encode(path, sample)
            share = size / max(1, sum(len(text.encode()) for _, text in sample))
            total.tokens += share * len(ids)
            total.aside += share * ids.nbytes
            total.shards += share * (len(zstd.compress(ids.tobytes())) if compressed else ids.nbytes)
    return total


def check_space(out: Path, partial: Path, needed: Estimate) -> None:
    """Print the free space beside the estimate. Raises DataError when the disk of `out` cannot hold it.

    What a killed run has left in `partial` is written over.
    """
    there = next(folder for folder in [out, *out.absolute().parents] if folder.is_dir())
    taken = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    free = shutil.disk_usage(there).free + taken
    print(f"{needed}; {free / 1e9:,.2f} GB free at {there}")
    if needed.aside + needed.shards > free:
        raise DataError(
            f"{out}: {needed}, but only {free / 1e9:,.2f} GB are free at {there}; make room or choose another out"
        )
