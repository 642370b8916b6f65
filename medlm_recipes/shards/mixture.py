"""How many rows of every source a pass over the data takes, and which.

Under a mixture a pass lasts until the source that is used up first has been seen once, in whole steps.
The others go on in the next pass where they stopped: at the end of a pass the rows of a source have
been taken equally often, or once more.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.fields import did_you_mean
from medlm_recipes.config.mixture import shares_of
from medlm_recipes.config.train import DataKeys
from medlm_recipes.errors import ConfigError

Rows = NDArray[np.int64]


def rows_a_pass(available: Mapping[str, int], keys: DataKeys, global_batch: int) -> dict[str, int]:
    """Rows that a pass takes of each source, sources sorted; all there are without a mixture in `keys`.

    available: rows of every train source of the shards. Raises ConfigError when the mixture names
    another source, leaves one unnamed, or gives one less than a row.
    """
    if keys.mixture is None:
        return dict(sorted(available.items()))
    _check_names(available, keys.mixture)
    shares = shares_of(keys.mixture)
    until_used_up = min(available[source] / share for source, share in shares.items())
    # Whole steps, and as much for every canonical node: streaming would fill up with repeated rows.
    unit = math.lcm(global_batch, keys.num_canonical_nodes)
    total = max(int(until_used_up + 1e-6) // unit, 1) * unit
    rows = {source: int(total * share) for source, share in shares.items()}
    cut_off = sorted(shares, key=lambda source: rows[source] - total * shares[source])
    for source in cut_off[: total - sum(rows.values())]:
        rows[source] += 1
    for source, count in rows.items():
        if count == 0:
            raise ConfigError(
                f"data.mixture: {source} would give no row to a pass of {total:,} rows, after which a source begins "
                f"anew; give it a share of at least {1 / total:.2g}, or 0"
            )
    return rows


def _check_names(available: Mapping[str, int], mixture: Mapping[str, Any]) -> None:
    for source in mixture:
        if source not in available:
            raise ConfigError(
                f"data.mixture: the shards have no train source {source!r}{did_you_mean(source, available)}; "
                f"they have {', '.join(sorted(available))}"
            )
    missing = sorted(available.keys() - mixture.keys())
    if missing:
        raise ConfigError(f"data.mixture: says nothing of {', '.join(missing)}; name every source, 0 leaves one out")


def rows_of_pass(shards: Rows, rows: int, number: int, seed: Sequence[int]) -> list[Rows]:
    """The rows that pass `number` (from 0) takes of a source: rising row numbers, an array a piece of a shard.

    shards: rows of each shard, (shards,). A source goes round without end, each round in another order of
    its shards, and of the rows in a shard that two passes share; a pass takes the next `rows`. A pure
    function of its arguments, so that a run resumed anywhere goes on alike.
    """
    total = int(shards.sum())
    begin, end = number * rows, (number + 1) * rows
    pieces = []
    for turn in range(begin // total, -(-end // total)):
        first, last = max(begin - turn * total, 0), min(end - turn * total, total)
        pieces += _of_round(shards, first, last, [*seed, turn])
    return pieces


def _of_round(shards: Rows, first: int, last: int, seed: Sequence[int]) -> list[Rows]:
    """Rows `first` to `last` (exclusive) of one round, shard by shard."""
    offsets = shards.cumsum() - shards
    if (first, last) == (0, int(shards.sum())):
        return [offset + np.arange(size) for offset, size in zip(offsets, shards, strict=True)]
    order = np.random.default_rng(seed).permutation(len(shards))
    pieces: dict[int, Rows] = {}
    stop = 0
    for shard, size in zip(order.tolist(), shards[order].tolist(), strict=True):
        start, stop = stop, stop + size
        low, high = max(first, start) - start, min(last, stop) - start
        if low < high:
            inside = np.random.default_rng([*seed, shard]).permutation(size)[low:high]
            pieces[shard] = offsets[shard] + np.sort(inside)
    return [pieces[shard] for shard in sorted(pieces)]
