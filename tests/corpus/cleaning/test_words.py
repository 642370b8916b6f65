"""Runs of words and their MinHash bands."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlm_recipes.config.cleaning import NearDuplicateKeys
from medlm_recipes.corpus.cleaning import words
from medlm_recipes.corpus.cleaning.minhash import bands_of
from medlm_recipes.corpus.cleaning.words import hash64, hash_runs

KEYS = NearDuplicateKeys()


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hash64("insulin") == 0x5757DE48DC280ADA
    assert hash_runs(["Insulin lowers blood glucose."], 3).tolist() == [2390463187626774681, 1144597418405094465]
    bands = bands_of("Insulin lowers the blood glucose of patients.", KEYS)
    assert bands[:2].tolist() == [16189736133693284460, 6400095111663557427]


def test_case_punctuation_and_white_space_make_no_difference() -> None:
    one = hash_runs(["The p53 (TP53) gene;\n  m² β-blocker"], 4)
    assert len(one) == 4 and (one == hash_runs(["the P53 tp53 GENE M² Β, blocker."], 4)).all()


def test_runs_stay_inside_a_text() -> None:
    texts = ["a b c d", "e f", "", "g h i"]
    apart = np.concatenate([hash_runs([text], 3) for text in texts])
    assert (hash_runs(texts, 3) == apart).all() and len(apart) == 3
    assert len(hash_runs(["a b", "c"], 3)) == 0 == len(hash_runs([], 3)) and len(hash_runs(["a"], 1)) == 1


@given(st.lists(st.text("ab c.\n", max_size=30), max_size=4), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_equal_runs_have_equal_hashes_and_others_not(texts: list[str], length: int) -> None:
    by_words: dict[tuple[str, ...], set[int]] = {}
    runs = []
    for text in texts:
        found = text.replace(".", " ").split()
        runs += [tuple(found[at : at + length]) for at in range(len(found) - length + 1)]
    hashes = hash_runs(texts, length).tolist()
    assert len(hashes) == len(runs)
    for run, value in zip(runs, hashes, strict=True):
        by_words.setdefault(run, set()).add(value)
    assert all(len(values) == 1 for values in by_words.values())
    assert len(set().union(*by_words.values())) == len(by_words)


def test_words_beyond_those_held_hash_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    before = hash_runs([text], 5)
    monkeypatch.setattr(words, "_HELD", 10)
    monkeypatch.setattr(words, "_hashes", words._WordHashes())
    assert (hash_runs([text], 5) == before).all() and len(words._hashes) == 10


def test_a_text_without_a_run_has_no_bands() -> None:
    assert not bands_of("four words are few", KEYS).any() and bands_of("but five words are enough", KEYS).all()


@pytest.mark.parametrize("overlap, low, high", [(0.5, 0.0, 0.2), (0.7, 0.35, 0.75), (0.8, 0.8, 1.0), (0.95, 1.0, 1.0)])
def test_texts_share_a_band_as_often_as_the_parameters_promise(overlap: float, low: float, high: float) -> None:
    """1 - (1 - J^8)^14 of the pairs with Jaccard J; here 60 pairs of 400 words."""
    chance = random.Random(3)
    found = 0
    for _ in range(60):
        text = [f"w{chance.randrange(1 << 30)}" for _ in range(400)]
        changed = round(396 * (1 - overlap) / (1 + overlap))
        other = [*text[:-changed], *(f"w{chance.randrange(1 << 30)}" for _ in range(changed))]
        found += bool((bands_of(" ".join(text), KEYS) == bands_of(" ".join(other), KEYS)).any())
    assert low <= found / 60 <= high


def test_a_long_text_is_hashed_in_pieces_to_the_same_bands() -> None:
    text = " ".join(f"w{number % 3001}" for number in range(6000))
    keys = NearDuplicateKeys(buckets=2, hashes=3)
    assert (bands_of(text, keys) == bands_of(text + " " + text[: len(text) // 2], keys)).all()
