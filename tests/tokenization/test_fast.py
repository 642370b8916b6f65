"""The fast encoder against the Hugging Face tokenizer: splits, merges, and when it must not be used."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import SHARED
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from medlm_recipes.corpus.compressed import read_lines
from medlm_recipes.tokenization.encoding import Backend, HuggingFaceEncoder, read_backend, smallest_dtype
from medlm_recipes.tokenization.fast import _LLAMA3, _QWEN2, FastEncoder, Unfit, check_merging
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.tokenization.self_test import fast_encoder

Encoders = tuple[FastEncoder, HuggingFaceEncoder]


def with_state(backend: Backend, change: Callable[[dict[str, Any]], object]) -> Backend:
    state = json.loads(backend.json)
    change(state)
    return replace(backend, json=json.dumps(state))


def split_by(pattern: str) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, last]}

    return change


def like_llama3(state: dict[str, Any]) -> None:
    """Its split, and the merges as transformers lists those of a tiktoken vocabulary: all halves of every token."""
    split_by(_LLAMA3)(state)
    model = state["model"]
    for token in state["added_tokens"]:
        model["vocab"].pop(token["content"], None)
    ids = model["vocab"]
    model["merges"] = [
        halves
        for token in sorted(ids, key=ids.__getitem__)
        for halves in sorted(
            ([token[:at], token[at:]] for at in range(1, len(token)) if token[:at] in ids and token[at:] in ids),
            key=lambda halves: (ids[halves[0]], ids[halves[1]]),
        )
    ]
    model["ignore_merges"] = True


FORMS: dict[str, Callable[[dict[str, Any]], object]] = {
    "gpt2": lambda state: None,
    "llama3": like_llama3,
    "qwen2": split_by(_QWEN2),
}


@pytest.fixture(scope="module")
def backend(line: Path) -> Backend:
    return read_backend(line / "tokenizer")


@pytest.fixture(scope="module", params=FORMS)
def encoders(backend: Backend, request: pytest.FixtureRequest) -> Encoders:
    """Found equal by the self-test already."""
    changed = with_state(backend, FORMS[request.param])
    reference = HuggingFaceEncoder(changed)
    return fast_encoder(changed, reference), reference


def equal(encoders: Encoders, texts: list[str]) -> bool:
    fast, reference = (encoder.encode(texts) for encoder in encoders)
    return fast.dtype == reference.dtype and fast.tolist() == reference.tolist()


SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2009\u2028\u202f\u3000"
PIECES = st.sampled_from([*SPACES, *"'aesSTdlmx.,1٣é中ſ\u0301\x1c\x1d\x1e", "  ", "\n\n", "🧬", "the", "<|endoftext|>"])


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.one_of(st.text(max_size=40), st.lists(PIECES).map("".join)), min_size=1, max_size=5))
def test_any_texts_have_the_reference_tokenizers_ids(encoders: Encoders, texts: list[str]) -> None:
    assert equal(encoders, [text.encode(errors="ignore").decode() for text in texts])


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real samples at {SHARED}")
def test_real_text_has_the_reference_tokenizers_ids(encoders: Encoders) -> None:
    lines = read_lines(next((SHARED / "pile").glob("*.jsonl.zst")))
    assert equal(encoders, [json.loads(record)["text"] for number, record in lines if number <= 500])


@pytest.mark.parametrize("run", ["a", " ", "\n", " \n", "-", "7", "中", "acgt"])
def test_a_run_of_a_hundred_thousand_characters_neither_crashes_nor_hangs(encoders: Encoders, run: str) -> None:
    long = run * (100_000 // len(run))
    assert equal(encoders, [f"Before {long} behind", long, f"{long}x"])


def test_a_million_random_letters_take_seconds(encoders: Encoders) -> None:
    word = "".join(random.Random(0).choices("acdegilmnorst", k=1_000_000))
    fast, _ = encoders
    assert len(fast.encode([word])) > 100_000


@pytest.mark.parametrize(("of", "but"), [(r"\p{L}", r"\P{L}"), (r"\p{N}", r"\P{N}"), (r"\s", r"\S")])
def test_both_regex_engines_know_the_same_characters(of: str, but: str) -> None:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    bytes_alone = tiktoken.Encoding(
        "bytes", pat_str=f"{of}+", mergeable_ranks={bytes([byte]): byte for byte in range(256)}, special_tokens={}
    )
    found = pre_tokenizers.Split(Regex(f"{but}+"), "removed").pre_tokenize_str(every)
    assert bytes(bytes_alone.encode_ordinary(every)).decode() == "".join(piece for piece, _ in found)


def test_merges_that_tiktoken_would_take_otherwise_are_refused(backend: Backend) -> None:
    """(b, c) comes first, so that abc is never made of ab and c; tiktoken would make it of a and bc."""

    def change(state: dict[str, Any]) -> None:
        vocab = state["model"]["vocab"]
        vocab |= {token: vocab.get(token, len(vocab) + at) for at, token in enumerate(("qz", "xq", "xqz"))}
        state["model"]["merges"] = [["q", "z"], ["x", "q"], ["xq", "z"]]

    changed = with_state(backend, change)
    with pytest.raises(Unfit, match="never make its token 'xqz'"):
        check_merging(changed)
    reference = HuggingFaceEncoder(changed)
    assert not equal((FastEncoder(changed, reference), reference), ["xqz"])


def test_a_llama3_vocabulary_that_lacks_a_merge_is_refused(backend: Backend) -> None:
    changed = with_state(backend, lambda state: (like_llama3(state), state["model"]["merges"].pop(100)))
    with pytest.raises(Unfit, match="no merge makes"):
        check_merging(changed)


def set_in(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


def spell_a_marker(state: dict[str, Any]) -> None:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    state["added_tokens"].append({"id": 800, "content": "[bib_ref]", **flags})


def drop_a_byte(state: dict[str, Any]) -> None:
    state["model"]["vocab"]["more"] = state["model"]["vocab"].pop("Ā")
    state["model"]["merges"] = [merge for merge in state["model"]["merges"] if "Ā" not in "".join(merge)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_in("normalizer", value={"type": "NFC"}), "normalizes"),
        (set_in("model", "dropout", value=0.1), "dropout"),
        (set_in("model", "end_of_word_suffix", value="</w>"), "affixes"),
        (set_in("pre_tokenizer", "add_prefix_space", value=True), "adds a space"),
        (set_in("pre_tokenizer", value=None), "not byte-level"),
        (set_in("pre_tokenizer", "use_regex", value=False), "splits text"),
        (split_by(r"\p{L}+|\s+|."), "splits text"),
        (spell_a_marker, "texts may spell"),
        (drop_a_byte, "lacks bytes"),
    ],
)
def test_tokenizers_of_other_forms_are_refused(
    backend: Backend, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    changed = with_state(backend, change)
    with pytest.raises(Unfit, match=reason):
        FastEncoder(changed, HuggingFaceEncoder(backend))


def test_other_models_are_refused(backend: Backend) -> None:
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(Unfit, match="its model is WordLevel"):
        FastEncoder(Backend(words.to_str(), 0, 1), HuggingFaceEncoder(backend))


def test_the_self_test_finds_a_wrong_encoder(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastEncoder, "_broken", lambda self, text: text)
    with pytest.raises(Unfit, match="otherwise"):
        fast_encoder(backend, HuggingFaceEncoder(backend))


def add_pad(settings: dict[str, Any]) -> None:
    settings["pad_token"] = "[PAD]"


def prefix_space(settings: dict[str, Any]) -> None:
    settings["add_prefix_space"] = True


@pytest.mark.parametrize("change", [None, add_pad, prefix_space])
def test_the_backend_is_that_of_the_tokenizer_that_transformers_makes(
    line: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None] | None
) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(line / "tokenizer", folder)
    if change:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        change(settings)
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    backend, tokenizer = read_backend(folder), load_tokenizer(folder)
    assert (backend.size, backend.end_of_text) == (len(tokenizer), tokenizer.eos_token_id)
    text = "It's <|endoftext|> [PAD]\n\nof 12  patients"
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert HuggingFaceEncoder(backend).encode([text]).tolist() == [*ids, tokenizer.eos_token_id]


def test_the_smallest_type_holds_the_vocabulary() -> None:
    assert [str(smallest_dtype(size)) for size in (256, 257, 65_536, 65_537)] == ["uint8", "uint16", "uint16", "uint32"]
