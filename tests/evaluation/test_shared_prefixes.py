import random
from itertools import pairwise

import numpy as np
import pytest

from medlm_recipes.evaluation.shared_prefixes import LEAST_SHARED, SortedSequences, deal, lay_out, plan


def questions(seed: int, roots: int = 2, count: int = 8) -> list[tuple[int, ...]]:
    """Options behind questions behind a few long beginnings, some of them beginnings of others."""
    draw = random.Random(seed)
    made = []
    for _ in range(roots):
        root = [draw.randrange(50) for _ in range(draw.randint(0, 90))]
        for _ in range(count):
            question = [draw.randrange(50) for _ in range(draw.randint(1, 60))]
            made += [(*root, *question, *(draw.randrange(3) for _ in range(option))) for option in (0, 1, 1, 4, 9)]
    return made


@pytest.mark.parametrize("budget", [1, 40, 200, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_every_token_is_run_behind_its_own_past(seed: int, budget: int) -> None:
    sequences = SortedSequences(questions(seed))
    count = len(sequences.tokens)
    assert len(set(sequences.tokens)) == count
    kept: list[tuple[int, ...]] = [()]
    ended: set[int] = set()
    run = 0
    for span in plan(sequences, 0, count, budget):
        while len(kept[-1]) > span.cached:
            kept.pop()
        cached, layout = kept[-1], lay_out(sequences, span)
        assert len(cached) == span.cached
        run += len(layout.tokens)
        length = len(layout.tokens)
        visible = np.tri(length, dtype=bool) if layout.visible is None else layout.visible
        for i in range(span.first, span.last):
            tokens, path = sequences.tokens[i][: span.end], layout.paths[i].tolist()
            assert cached + tuple(layout.tokens[place] for place in path) == tokens
            assert [layout.positions[place] for place in path] == list(range(span.cached, len(tokens)))
            for number, place in enumerate(path):
                assert np.flatnonzero(visible[place]).tolist() == path[: number + 1]
        if span.end is None:
            assert length <= budget or span.last - span.first == 1
            assert not ended & set(range(span.first, span.last))
            ended |= set(range(span.first, span.last))
        else:
            kept.append(sequences.tokens[span.first][: span.end])
            ended |= {i for i in range(span.first, span.last) if sequences.lengths[i] == span.end}
    assert ended == set(range(count))
    whole = sequences.cost(0, count, 0)
    assert whole == len({tokens[:end] for tokens in sequences.tokens for end in range(1, len(tokens) + 1)})
    assert whole <= run <= whole + count * LEAST_SHARED
    if budget == 10_000:
        assert run == whole


def test_a_long_common_prefix_is_run_once() -> None:
    shots = tuple(range(1000))
    sequences = SortedSequences([(*shots, question, *range(100)) for question in range(20)])
    spans = list(plan(sequences, 0, 20, 256))
    assert (spans[0].cached, spans[0].end) == (0, 1000)
    assert all(span.cached == 1000 and span.last - span.first == 2 for span in spans[1:]) and len(spans) == 11


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_get_all_of_it_about_as_much_each_and_whole_questions(ranks: int) -> None:
    draw = random.Random(ranks)
    asked = [tuple(draw.randrange(50) for _ in range(draw.randint(30, 60))) for _ in range(200)]
    sequences = SortedSequences([(*question, *range(option)) for question in asked for option in range(1, 5)])
    parts = deal(sequences, ranks)
    assert parts[0][0] == 0 and parts[-1][1] == len(sequences.tokens)
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    work = [sequences.cost(*part, 0) for part in parts]
    assert max(work) <= 1.15 * sum(work) / ranks
    assert sum(work) <= sequences.cost(0, len(sequences.tokens), 0) + 5 * ranks  # no question is on two ranks


def test_more_ranks_than_work_leaves_some_idle() -> None:
    sequences = SortedSequences([(1, 2, 3), (1, 2, 4)])
    parts = deal(sequences, 5)
    assert sum(last - first for first, last in parts) == 2 and len(parts) == 5
