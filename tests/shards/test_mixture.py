"""What a pass takes of every source, and that it is the same rows on any number of ranks, resumed anywhere."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shards.numbered import make_shards
from streaming.base.batching import generate_work
from streaming.base.world import World

from medlm_recipes.callbacks.divergence import DivergenceGuard
from medlm_recipes.config.guard import GuardKeys
from medlm_recipes.config.mixture import check_mixture, shares_of
from medlm_recipes.config.train import DataKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.shards.mixture import rows_a_pass, rows_of_pass
from medlm_recipes.shards.streaming import TokenDataset, train_loader
from medlm_recipes.shards.windows import Window

BATCH = 16
THERE = {"papers": 4_000, "abstracts": 3_000, "replay": 120}
SHARES = {"papers": 0.7, "abstracts": 0.2, "replay": 0.1}


def taken(mixture: dict[str, Any] | None, batch: int = BATCH) -> dict[str, int]:
    return rows_a_pass(THERE, DataKeys(mixture=mixture), batch)


def test_without_a_mixture_a_pass_takes_every_row_once() -> None:
    assert taken(None) == {"abstracts": 3_000, "papers": 4_000, "replay": 120}


@pytest.mark.parametrize("mixture", [SHARES, {"papers": "7_000tok", "abstracts": "2_000tok", "replay": "1_000tok"}])
def test_a_pass_lasts_until_the_source_that_is_used_up_first(mixture: dict[str, Any]) -> None:
    """1,200 rows hold all 120 of replay."""
    check_mixture(mixture)
    assert taken(mixture) == {"abstracts": 240, "papers": 840, "replay": 120}
    assert list(taken(mixture)) == sorted(THERE)


def test_shares_as_the_shards_have_them_take_all_of_them_in_whole_steps() -> None:
    natural = {source: rows / 7_120 for source, rows in THERE.items()}
    assert taken(natural) == taken(None)
    rows = taken(natural, 100)
    assert sum(rows.values()) == 7_100
    assert all(abs(rows[source] - 7_100 * share) < 1 for source, share in natural.items())


def test_rounded_shares_are_made_to_sum_to_1() -> None:
    thirds = {"papers": 0.333, "abstracts": 0.333, "replay": 0.333}
    check_mixture(thirds)
    assert sum(shares_of(thirds).values()) == pytest.approx(1, abs=1e-12)
    assert taken(thirds, 360) == {"abstracts": 120, "papers": 120, "replay": 120}


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"papers": 0.5, "replay": 0.4}, "sum to 0.9, not 1"),
        ({"papers": 0.5, "replay": "5tok"}, "papers has a share and replay a token target"),
        ({"papers": "5tok", "replay": "5"}, "replay: '5': write a positive number of tokens"),
        ({"papers": 1.5, "replay": -0.5}, "papers: 1.5 is neither"),
        ({"papers": True}, "papers: True is neither"),
        ({"papers": 1, "replay": None}, "replay: None is neither"),
        ({"papers": 0}, "names no source"),
        ({}, "leave it null"),
    ],
)
def test_what_is_no_mixture_is_refused(mixture: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_mixture(mixture)


def test_a_tiny_source_with_a_large_share_repeats_within_a_pass() -> None:
    half = {"papers": 0.5, "replay": 0.5}
    assert rows_a_pass({"papers": 400, "replay": 3}, DataKeys(mixture=half), 8) == {"papers": 4, "replay": 4}
    keys = DataKeys(mixture=half, num_canonical_nodes=16)
    assert rows_a_pass({"papers": 400, "replay": 3}, keys, 6) == {"papers": 24, "replay": 24}


def test_a_source_of_share_0_is_left_out() -> None:
    mixture = {"papers": 0.5, "abstracts": 0.5, "replay": 0}
    assert taken(mixture) == {"abstracts": 3_000, "papers": 3_000}
    assert shares_of({"papers": "300tok", "abstracts": "100tok", "replay": 0}) == {"abstracts": 0.25, "papers": 0.75}


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        (SHARES | {"paper": 0}, "no train source 'paper'; did you mean papers"),
        ({"papers": 0.5, "replay": 0.5}, "says nothing of abstracts"),
        ({"papers": 0.99998, "abstracts": 0.00002, "replay": 0}, "abstracts would give no row to a pass"),
    ],
)
def test_what_does_not_fit_the_shards_is_refused(mixture: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        taken(mixture)


@pytest.mark.parametrize("rows", [1, 7, 50, 99, 100, 101, 260])
def test_no_row_is_taken_again_before_all_were(rows: int) -> None:
    shards, seen = np.array([30, 1, 44, 25]), Counter[int]()
    for number in range(40):
        pieces = rows_of_pass(shards, rows, number, [17, 0])
        assert sum(map(len, pieces)) == rows
        assert all((np.diff(piece) > 0).all() for piece in pieces)
        ends = shards.cumsum()
        assert all(
            np.searchsorted(ends, piece[0], "right") == np.searchsorted(ends, piece[-1], "right") for piece in pieces
        )
        seen.update(np.concatenate(pieces).tolist())
        taken = rows * (number + 1)
        assert {seen[row] for row in range(100)} <= {taken // 100, -(-taken // 100)}
    again = np.concatenate(rows_of_pass(shards, rows, 3, [17, 0])).tolist()
    assert again == np.concatenate(rows_of_pass(shards, rows, 3, [17, 0])).tolist()
    if rows % 100:
        assert again != np.concatenate(rows_of_pass(shards, rows, 3, [18, 0])).tolist()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenDataset]:
    folder = tmp_path_factory.mktemp("mixture")
    (folder / "tokenizer.json").write_text("{}")
    sizes = {"papers": 400, "abstracts": 300, "replay": 12}
    shards = make_shards(folder / "shards", folder, sizes)
    rows = rows_a_pass(sizes, DataKeys(mixture=SHARES), BATCH)
    assert rows == {"abstracts": 23, "papers": 78, "replay": 11}
    dataset = train_loader(str(shards), rows, BATCH, DataKeys()).dataloader.dataset
    assert isinstance(dataset, TokenDataset) and dataset.epoch_size == 112
    yield dataset


def batches(
    dataset: TokenDataset, number: int, taken: int = 0, nodes: int = 1, ranks: int = 1, workers: int = 1
) -> Any:
    """The global batches of a pass, each as sorted sample numbers, dealt over so many ranks."""
    world = World(nodes, ranks, workers, 0)
    whole, dataset.batch_size = dataset.batch_size, BATCH // (nodes * ranks)
    try:
        work = generate_work(dataset.batching_method, dataset, world, number, taken * BATCH)
    finally:
        dataset.batch_size = whole
    in_order = work.transpose(3, 2, 0, 1, 4).reshape(-1, BATCH)
    return [sorted(batch) for batch in in_order.tolist() if -1 not in batch]


def test_every_number_of_ranks_takes_the_same_batches_from_anywhere(dataset: TokenDataset) -> None:
    dataset.num_canonical_nodes = 2
    dataset._set_shuffle_block_size(World(1, 1, 1, 0))
    for number in range(3):
        whole = batches(dataset, number)
        assert len(whole) == 7 and whole != batches(dataset, number + 1)
        for nodes, ranks, workers in ((1, 2, 1), (1, 4, 2), (2, 1, 1), (2, 2, 3)):
            assert batches(dataset, number, 0, nodes, ranks, workers) == whole
            assert batches(dataset, number, 3, nodes, ranks, workers) == whole[3:]


def test_a_run_takes_the_shares_and_every_row_evenly(dataset: TokenDataset) -> None:
    dataset.num_canonical_nodes = 2
    dataset._set_shuffle_block_size(World(1, 1, 1, 0))
    guard = DivergenceGuard(
        GuardKeys(),
        Path(),
        None,
        {"abstracts": 300, "papers": 400, "replay": 12},
        1,
        0,  # type: ignore[arg-type]
    )
    seen = Counter(
        guard._name(sample) for number in range(60) for batch in batches(dataset, number) for sample in batch
    )
    by_source = Counter[str]()
    for name, count in seen.items():
        by_source[name.split(":")[0]] += count
    assert by_source == {"abstracts": 60 * 23, "papers": 60 * 78, "replay": 60 * 11}
    assert {seen[f"replay:{row}"] for row in range(12)} == {55}
    assert {seen[f"papers:{row}"] for row in range(400)} == {11, 12}


def test_the_guard_names_the_row_that_was_read(dataset: TokenDataset) -> None:
    sources = {"abstracts": 300, "papers": 400, "replay": 12}
    guard = DivergenceGuard(GuardKeys(), Path(), None, sources, 1, 0)  # type: ignore[arg-type]
    for sample in (0, 299, 300, 699, 700, 711):
        row = dataset[sample]
        source, number = guard._name(int(row["sample"])).split(":")
        assert row["input_ids"][:3].tolist() == [list(sources).index(source), *divmod(int(number), 100)]


def test_windows_leave_batches_of_a_mixture_out(dataset: TokenDataset) -> None:
    dataset.num_canonical_nodes = 2
    dataset._set_shuffle_block_size(World(1, 1, 1, 0))
    whole = [batches(dataset, number) for number in range(2)]
    dataset.pass_over([Window(0, 2, 4), Window(1, 5, None)])
    try:
        assert batches(dataset, 0, 0, 1, 2) == whole[0][:2] + whole[0][4:]
        assert batches(dataset, 0, 3, 1, 2) == whole[0][5:]
        assert batches(dataset, 1, 0, 1, 2) == whole[1][:5]
    finally:
        dataset.windows, dataset.batching_method = (), "random"
