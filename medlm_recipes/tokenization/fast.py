"""Byte-level BPE by tiktoken: the ids of the Hugging Face tokenizer at a multiple of its speed.

Splitting. Patterns like GPT-2's end in ``\\s+(?!\\S)|\\s+``: a run of white space leaves its last
character to the word behind it. That lookahead costs half of the time, and overflows the stack of
tiktoken's regex engine on a megabyte of spaces. Here it is left out, and a break is put before the
last character of every such run, which gives the same pieces.

Merging. tiktoken merges the neighbours whose concatenation is the earliest token; Hugging Face those
that stand earliest in the list of merges. These are the same where every token that merges make,
encoded alone, is that token: neighbours (a, b) within any text have come about by the first merges of
the string ab taken alone, since no merge has crossed its ends; it ends as the token ab, so that its
next and last merge is (a, b), which therefore stands in the list. Tokenizers that take a piece which
is a token without merging (`ignore_merges`, Llama 3) list every way to halve a token, one token's
after another's, and then the two rules coincide by themselves.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.tokenization.encoding import Backend, HuggingFaceEncoder

_LOOKAHEAD = r"|\s+(?!\S)"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3, _QWEN2 = (
    rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in (r"\p{N}{1,3}", r"\p{N}")
)
# Split pattern -> white space that the lookahead never leaves to the next word, since an earlier part takes it.
_KEPT = {_GPT2: "", _LLAMA3: "\r\n", _QWEN2: "\r\n"}

# Unicode's White_Space, which is \s in both regex engines; all of it lies in the basic plane.
_WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_WHITE_SPACE += "\u2028\u2029\u202f\u205f\u3000"

# What stands between documents, and in breaks, begins with a control character that texts hardly hold.
_MARK = "\x1c"
_END, _BREAK = _MARK + "\x1d", _MARK + "\x1e"
_OTHER, _SPACE, _KEPT_SPACE, _MARKED = range(4)


class Unfit(Exception):
    """Why a tokenizer is not of the form that is encoded fast."""


@dataclass(frozen=True)
class FastForm:
    """A byte-level BPE. pattern: how text is split. tokens: bytes -> id, in the order in which they are merged."""

    pattern: str
    tokens: dict[bytes, int]


class FastEncoder:
    """See `encoding.Encoder`; a text with the control character 0x1C in it goes to `reference`."""

    def __init__(self, backend: Backend, reference: HuggingFaceEncoder) -> None:
        from tiktoken import Encoding

        form = read_form(backend)
        self._reference = reference
        count = len(form.tokens)
        self._break = count + 1
        self._ids = np.array([*form.tokens.values(), backend.end_of_text, 0], backend.dtype)
        self._bpe = Encoding(
            "fast",
            pat_str=form.pattern.replace(_LOOKAHEAD, ""),
            mergeable_ranks={token: rank for rank, token in enumerate(form.tokens)},
            special_tokens={_END: count, _BREAK: self._break},
        )
        self._kinds = np.full(1 << 16, _OTHER, np.uint8)
        self._kinds[[ord(space) for space in _WHITE_SPACE]] = _SPACE
        self._kinds[[ord(space) for space in _KEPT[form.pattern]]] = _KEPT_SPACE
        self._kinds[ord(_MARK)] = _MARKED

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        joined = _END.join(texts) + _END
        if joined.count(_MARK) > len(texts):
            return np.concatenate([(self._reference if _MARK in text else self).encode([text]) for text in texts])
        ranks = self._bpe.encode_to_numpy(self._broken(joined), allowed_special={_END, _BREAK}, disallowed_special=())
        return self._ids[ranks[ranks != self._break]]

    def _broken(self, text: str) -> str:
        """`text` with a break before the last character of each run of white space that a word follows."""
        units = np.frombuffer(text.encode("utf-16-le"), np.uint16)
        kinds = self._kinds[units]
        spaces = kinds == _SPACE
        in_run = (kinds[:-2] == _SPACE) | (kinds[:-2] == _KEPT_SPACE)
        breaks = np.flatnonzero(in_run & spaces[1:-1] & (kinds[2:] == _OTHER)) + 1
        if not len(breaks):
            return text
        marks = np.tile(np.array([ord(unit) for unit in _BREAK], np.uint16), len(breaks))
        return np.insert(units, np.repeat(breaks, len(_BREAK)), marks).tobytes().decode("utf-16-le")


def read_form(backend: Backend) -> FastForm:
    """The tokenizer as tiktoken takes it. Raises Unfit; `check_merging` must be passed too."""
    state = json.loads(backend.json)
    model = state["model"]
    for unfit, why in (
        (model["type"] != "BPE", f"its model is {model['type']}"),
        (state["normalizer"], "it normalizes text"),
        (model.get("dropout"), "it has dropout"),
        (model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"), "its pieces have affixes"),
        (not all(token["special"] for token in state["added_tokens"]), "it has added tokens that texts may spell"),
        (model.get("ignore_merges") and model["vocab"].keys() & _contents(state), "a special token is in its model"),
    ):
        if unfit:
            raise Unfit(why)
    pattern = _split_pattern(state["pre_tokenizer"])
    letters = _byte_letters()
    if not model["vocab"].keys() >= letters.keys():
        raise Unfit("its vocabulary lacks bytes")
    made = dict.fromkeys(left + right for left, right in model["merges"])
    alone = model["vocab"].keys() - made if model.get("ignore_merges") else letters
    try:
        tokens = {bytes(map(letters.__getitem__, text)): model["vocab"][text] for text in [*sorted(alone), *made]}
    except KeyError:
        raise Unfit("its tokens are not all made of bytes") from None
    return FastForm(pattern, tokens)


def _contents(state: dict[str, Any]) -> set[str]:
    return {token["content"] for token in state["added_tokens"]}


def _split_pattern(splitter: dict[str, Any] | None) -> str:
    """The pattern of ByteLevel's own split, or of a Split before it."""
    parts = splitter["pretokenizers"] if splitter and splitter["type"] == "Sequence" else [splitter]
    *before, last = [part or {"type": None} for part in parts]
    if last["type"] != "ByteLevel" or last["add_prefix_space"]:
        raise Unfit("it is not byte-level, or adds a space before a text")
    if not before and last["use_regex"]:
        return _GPT2
    if len(before) == 1 and not last["use_regex"] and before[0]["type"] == "Split":
        pattern = before[0]["pattern"].get("Regex")
        if pattern in _KEPT and before[0]["behavior"] == "Isolated" and not before[0]["invert"]:
            return str(pattern)
    raise Unfit("it splits text in a way that is not known here")


def _byte_letters() -> dict[str, int]:
    """GPT-2's letter for a byte -> the byte: printable Latin-1 stands for itself, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


def check_merging(backend: Backend) -> None:
    """Raise Unfit where tiktoken might merge otherwise than the tokenizer; see the module's head."""
    from tokenizers import Tokenizer

    state = json.loads(backend.json)
    model = state["model"]
    made = [left + right for left, right in model["merges"]]
    first = list(dict.fromkeys(made))
    if sum(here != before for here, before in zip(made, [None, *made], strict=False)) > len(first):
        raise Unfit("merges to one token stand apart")
    if model.get("ignore_merges"):
        listed = set(map(tuple, model["merges"]))
        for token in model["vocab"]:
            for at in range(1, len(token)):
                halves = (token[:at], token[at:])
                if halves not in listed and model["vocab"].keys() >= set(halves):
                    raise Unfit(f"no merge makes {token!r} of {halves[0]!r} and {halves[1]!r}")
        return
    bare: dict[str, Any] = {
        "pre_tokenizer": None,
        "post_processor": None,
        "added_tokens": [],
        "truncation": None,
        "padding": None,
    }
    encoded = Tokenizer.from_str(json.dumps(state | bare)).encode_batch_fast(first, add_special_tokens=False)
    for token, found in zip(first, encoded, strict=True):
        if found.ids != [model["vocab"][token]]:
            raise Unfit(f"its merges never make its token {token!r}")
