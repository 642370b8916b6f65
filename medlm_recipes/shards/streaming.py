"""MDS streams to Composer dataloaders."""

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from composer.core import DataSpec
from composer.utils import dist
from numpy.typing import NDArray
from streaming import Stream, StreamingDataLoader, StreamingDataset
from streaming.base.batching import batching_methods, generate_work_random_batching
from streaming.base.world import World
from torch.utils.data import DataLoader, Dataset

from medlm_recipes.config.train import DataKeys
from medlm_recipes.models.loss import IGNORED
from medlm_recipes.remote import is_remote, local_place
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.shards.mixture import rows_of_pass
from medlm_recipes.shards.rows import RowReader
from medlm_recipes.shards.tasks import differs_in_labels
from medlm_recipes.shards.windows import Window, kept_batches, without


class TokenDataset(StreamingDataset):
    """Samples of what RowReader gives and "sample", the sample's number, counted over the streams in the order given.

    A language model shifts the labels; those of filling are IGNORED.
    """

    windows: Sequence[Window] = ()

    def __init__(self, shards: str, **settings: Any) -> None:
        with _one_launch_at_a_time():
            super().__init__(**settings)
        facts = read_shards(shards).facts
        self._rows = RowReader(facts)
        self.differs_in_labels = differs_in_labels(facts)

    def __getitem__(self, at: Any) -> dict[str, torch.Tensor]:
        return self._rows.read(super().__getitem__(at)) | {"sample": torch.tensor(int(at))}

    def resample_streams(self, epoch: int, stream_id: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sizes of the pieces that a pass shuffles, and the numbers of all its samples.

        Streaming's own draws a stream's fraction afresh every pass, so that in the long run some
        samples come up often and others never.
        """
        pieces = []
        for number in range(self.num_streams) if stream_id is None else [stream_id]:
            first = self.shard_offset_per_stream[number]
            shards = self.samples_per_shard[first : first + self.shards_per_stream[number]]
            taken = rows_of_pass(shards, self.streams[number].choose, epoch, [self.shuffle_seed, number])
            pieces += [self.sample_offset_per_shard[first] + piece for piece in taken]
        return np.array([len(piece) for piece in pieces], np.int64), np.concatenate(pieces)

    def pass_over(self, windows: Sequence[Window]) -> None:
        """Leave out the batches of `windows`, and count only the others as taken."""
        self.windows = windows
        self.batching_method = _OUTSIDE_WINDOWS


def _work_outside_windows(dataset: TokenDataset, world: World, epoch: int, sample_in_epoch: int) -> NDArray[np.int64]:
    """Streaming's random batching of a pass (sample ids by node, rank, worker, batch) outside the windows."""
    assert isinstance(dataset.batch_size, int) and dataset.num_canonical_nodes
    global_batch = dataset.batch_size * world.num_ranks
    # At least as many as there are: streaming pads the pass to whole canonical nodes.
    batches = (dataset.epoch_size + dataset.num_canonical_nodes) // global_batch + 1
    kept = kept_batches(dataset.windows, epoch, batches)[sample_in_epoch // global_batch :]
    start = int(kept[0]) if len(kept) else batches
    return without(generate_work_random_batching(dataset, world, epoch, start * global_batch), kept - start)


_OUTSIDE_WINDOWS = "outside_windows"
batching_methods[_OUTSIDE_WINDOWS] = _work_outside_windows


class _SharedStream(Stream):
    """A stream whose compressed shards several launches may unpack at once, on a file system that they share."""

    def _decompress_shard_part(self, zip_info: Any, zip_filename: str, raw_filename: str, compression: Any) -> None:
        # Streaming's own goes through one name for all, and a rename may take what another launch still writes.
        own = f"{raw_filename}.{uuid4().hex}"
        super()._decompress_shard_part(zip_info, zip_filename, own, compression)
        Path(own).replace(raw_filename)


def _stream(shards: str, split: str, source: str, **settings: Any) -> Stream:
    """A stream of a shards folder; of a remote one it is fetched shard by shard, as it is needed."""
    below = f"{split}/{source}"
    remote = f"{shards.rstrip('/')}/{below}" if is_remote(shards) else None
    folder = local_place(shards) if is_remote(shards) else Path(shards)
    return _SharedStream(remote=remote, local=str(folder / below), **settings)


def train_loader(
    shards: str,
    rows: Mapping[str, int],
    global_batch: int,
    keys: DataKeys,
    windows: Sequence[Window] = (),
    copies: int = 1,
) -> DataSpec:
    """Batches of `global_batch` / world size · `copies` sequences a rank, shuffled, in an order that
    depends on the seed alone, less the batches of `windows`; its state is kept in checkpoints.
    rows: what a pass takes of each source (`mixture.rows_a_pass`).
    `copies` consecutive ranks (those of tensor parallelism) get the same.
    """
    batch_size = global_batch * copies // dist.get_world_size()
    dataset = TokenDataset(
        shards,
        streams=[_stream(shards, "train", source, choose=count) for source, count in rows.items()],
        shuffle=True,
        shuffle_seed=keys.shuffle_seed,
        batch_size=batch_size,
        num_canonical_nodes=keys.num_canonical_nodes,
        predownload=keys.predownload,
        replication=copies if copies > 1 else None,
    )
    if windows:
        dataset.pass_over(windows)
    loader = StreamingDataLoader(dataset, batch_size=batch_size, num_workers=keys.workers, drop_last=True)
    return _counted(loader, copies)


def validation_loader(shards: str, source: str, batch_size: int, copies: int = 1) -> DataSpec:
    """Every validation sample of `source` once, in order, dealt over the ranks in whole batches.

    The stream is read as a map under a DistributedSampler; iterated as a stream it would pad the last
    batch with duplicates that count. `copies` consecutive ranks get the same samples.
    """
    stream = TokenDataset(shards, streams=[_stream(shards, "validation", source)], batch_size=batch_size)
    readers = dist.get_world_size() // copies
    dataset = _FilledUp(stream, batch_size * readers)
    sampler = dist.get_sampler(dataset, num_replicas=readers, rank=dist.get_global_rank() // copies)
    # Nothing is left to drop; told so, Composer does not look for padding, for which it takes every rank for a reader.
    return _counted(DataLoader(dataset, batch_size=batch_size, sampler=sampler, drop_last=True), copies)


class _FilledUp(Dataset[dict[str, torch.Tensor]]):
    """A dataset up to a multiple of `size` samples; those added have no label, so that no metric counts them."""

    def __init__(self, samples: TokenDataset, size: int) -> None:
        self.samples = samples
        self.length = -(-samples.size // size) * size  # len(samples) would be one rank's share

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, at: int) -> dict[str, torch.Tensor]:
        if at < self.samples.size:
            return self.samples[at]
        sample = self.samples[0]
        return sample | {"labels": torch.full_like(sample["labels"], IGNORED)}


def _counted(loader: DataLoader[Any], copies: int) -> DataSpec:
    """With every sample and token counted once when Composer adds up what `copies` ranks each have read.

    Tokens are counted by the first of them. Samples are also what micro-batches are weighted by, so
    every rank needs its share; Composer sums shares in fp32, exact to 2^24 (`plan_training` refuses more).
    Where labels are the weight instead, every copy counts its own: each weighs as much of all.
    """
    counts = dist.get_global_rank() % copies == 0
    by_labels = isinstance(loader.dataset, TokenDataset) and loader.dataset.differs_in_labels

    def tokens_in(batch: dict[str, torch.Tensor]) -> int | dict[str, int]:
        # Filling included: a step is so many sequences, and every budget and checkpoint a number of steps.
        total = batch["input_ids"].numel() if counts else 0
        # The first token of a row is predicted by none.
        return (
            {"total": total, "loss_generating": int((batch["labels"][:, 1:] != IGNORED).sum())} if by_labels else total
        )

    if copies == 1:
        return DataSpec(loader, get_num_tokens_in_batch=tokens_in)
    return DataSpec(
        loader,
        get_num_samples_in_batch=lambda batch: len(batch["input_ids"]) / copies,
        get_num_tokens_in_batch=tokens_in,
    )


@contextmanager
def _one_launch_at_a_time() -> Iterator[None]:
    """Every rank of a machine looks for a free prefix of streaming's shared memory, and all must find the same: a
    second launch that takes one meanwhile makes them disagree, and fail. Every rank calls this together.
    """
    with open(Path(tempfile.gettempdir()) / f"medlm-recipes-{os.getuid()}.lock", "w") as lock:
        if dist.get_local_rank() == 0:
            fcntl.flock(lock, fcntl.LOCK_EX)
        dist.barrier()
        yield
        dist.barrier()


_SHARED_NAME = re.compile(r"\d{6}_[a-z_]+")


def remove_stale_shared_memory() -> None:
    """Remove what killed runs left of streaming's shared memory; every rank calls this together.

    A run that was killed with -9 leaves names such as `000000_locals` behind, over which a new run
    can stumble (`File exists`). Streaming's own cleaner removes every run's names; this one leaves
    those alone that a live process has mapped.
    """
    if dist.get_local_rank() == 0:
        folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108 - where Linux keeps shm names
        # Listed before looking at who maps them: a run that begins just now makes names in between.
        there = [path for folder in folders if folder.is_dir() for path in folder.glob("[0-9]*_*")]
        live_prefixes = {name[:6] for name in _mapped_names()}
        for path in there:
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
