"""MDS streams to Composer dataloaders."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from composer.utils import dist
from streaming import Stream, StreamingDataLoader, StreamingDataset
from torch.utils.data import DataLoader, Subset

from medlm_recipes.config.train import DataKeys


class TokenDataset(StreamingDataset):
    """Samples {"input_ids", "labels"}, both int64 (sequence_length,); the model shifts the labels."""

    def __getitem__(self, at: Any) -> dict[str, torch.Tensor]:
        tokens = torch.from_numpy(super().__getitem__(at)["tokens"].astype(np.int64))
        return {"input_ids": tokens, "labels": tokens.clone()}


def train_loader(shards: str, sources: list[str], global_batch: int, keys: DataKeys) -> DataSpec:
    """Batches of `global_batch` / world size sequences a rank, shuffled, in an order that depends on
    the seed alone; its state is kept in checkpoints.
    """
    batch_size = global_batch // dist.get_world_size()
    dataset = TokenDataset(
        streams=[Stream(local=str(Path(shards) / "train" / source)) for source in sources],
        shuffle=True,
        shuffle_seed=keys.shuffle_seed,
        batch_size=batch_size,
        num_canonical_nodes=keys.num_canonical_nodes,
        predownload=keys.predownload,
    )
    loader = StreamingDataLoader(dataset, batch_size=batch_size, num_workers=keys.workers, drop_last=True)
    return DataSpec(loader, get_num_tokens_in_batch=_tokens_in)


def validation_loader(shards: str, source: str, batch_size: int) -> DataSpec:
    """Every validation sample of `source` once, in order, dealt over the ranks.

    The stream is read as a map under a DistributedSampler, whose padding Composer takes out of the
    metrics again; iterated as a stream it would pad the last batch with duplicates that count.
    """
    stream = TokenDataset(local=str(Path(shards) / "validation" / source), batch_size=batch_size)
    dataset: Subset[Any] = Subset(stream, range(len(stream)))  # hides that the stream could also be iterated
    sampler = dist.get_sampler(dataset, shuffle=False, drop_last=False)
    return DataSpec(DataLoader(dataset, batch_size=batch_size, sampler=sampler), get_num_tokens_in_batch=_tokens_in)


def _tokens_in(batch: dict[str, torch.Tensor]) -> int:
    return batch["input_ids"].numel()


_SHARED_NAME = re.compile(r"\d{6}_[a-z_]+")


def remove_stale_shared_memory() -> None:
    """Remove what killed runs left of streaming's shared memory; every rank calls this together.

    A run that was killed with -9 leaves names such as `000000_locals` behind, over which a new run
    can stumble (`File exists`). Streaming's own cleaner removes every run's names; this one leaves
    those alone that a live process has mapped.
    """
    if dist.get_local_rank() == 0:
        in_use = set(_mapped_names())
        live_prefixes = {name[:6] for name in in_use}
        for folder in (Path("/dev/shm"), Path(tempfile.gettempdir())):  # noqa: S108 - where Linux keeps shm names
            for path in folder.glob("[0-9]*_*") if folder.is_dir() else ():
                if _SHARED_NAME.fullmatch(path.name) and path.name[:6] not in live_prefixes:
                    path.unlink(missing_ok=True)
    dist.barrier()


def _mapped_names() -> Iterator[str]:
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text()
        except OSError:  # gone, or another user's
            continue
        yield from (path.rsplit("/", 1)[1] for path in re.findall(r"/dev/shm/\S+", text))  # noqa: S108
