"""Windows of batches that a run passes over, and where that puts it in the data.

The order of samples depends on the seed alone. A window names batches of that full order, so that the
data of any step follows from the windows and the number of batches trained on: no counter is kept, and
none can be lost. A window must not begin before what has been trained on when it is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Batches `begin` to `end` (exclusive; None: the last) of pass `epoch` over the data, in its full order."""

    epoch: int
    begin: int
    end: int | None


def kept_batches(windows: Sequence[Window], epoch: int, batches: int) -> NDArray[np.int64]:
    """Numbers of the batches that pass `epoch`, of `batches` in full, trains on, in order."""
    kept = np.ones(batches, bool)
    for window in windows:
        if window.epoch == epoch:
            kept[window.begin : window.end] = False
    return np.flatnonzero(kept)


def place(windows: Sequence[Window], epoch: int, taken: int, batches: int) -> int:
    """Number in the full order of the batch that follows once `taken` of pass `epoch` were trained on."""
    kept = kept_batches(windows, epoch, batches)
    return int(kept[taken]) if taken < len(kept) else batches


def span(first: tuple[int, int], last: tuple[int, int]) -> list[Window]:
    """The windows from batch `first` to `last`, both inclusive (epoch, number), over the passes between them."""
    windows = []
    for epoch in range(first[0], last[0] + 1):
        begin = first[1] if epoch == first[0] else 0
        windows.append(Window(epoch, begin, last[1] + 1 if epoch == last[0] else None))
    return windows


def without(samples: NDArray[np.int64], keep: NDArray[np.int64]) -> NDArray[np.int64]:
    """Only the batches `keep` (rising numbers; those that do not exist are left out) of every rank's work.

    samples: streaming's partition of sample ids (nodes, ranks, workers, batches a worker, batch size),
    in which a rank's batches go round its workers; -1 fills a worker's last place.
    """
    nodes, ranks, workers, rounds, size = samples.shape
    in_order = samples.transpose(0, 1, 3, 2, 4).reshape(nodes, ranks, rounds * workers, size)
    kept = in_order[:, :, keep[keep < rounds * workers]]
    filling = np.full((nodes, ranks, -kept.shape[2] % workers, size), -1, np.int64)
    dealt = np.concatenate([kept, filling], axis=2).reshape(nodes, ranks, -1, workers, size)
    return dealt.transpose(0, 1, 3, 2, 4)
