"""Documents to ids, in worker processes: the tokenizers library alone, since transformers takes seconds to import."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.errors import DataError
from medlm_recipes.tokenization.loading import load_tokenizer, tokenizer_hash

# Classes of transformers that take tokenizer.json as it is, but for what `_states_itself` looks at.
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "GPT2Tokenizer", "GPT2TokenizerFast")
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


@dataclass(frozen=True)
class Backend:
    """What encoding takes of a tokenizer.

    json: the state of its `tokenizers.Tokenizer`. end_of_text: an id. size: ids, added tokens included.
    """

    json: str
    end_of_text: int
    size: int

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        return smallest_dtype(self.size)


class Encoder(Protocol):
    """Texts to one array of ids in the backend's dtype, each text followed by one end-of-text token.

    A text that spells out a special token is text: only the end of a document is an end-of-text token.
    """

    def encode(self, texts: Sequence[str]) -> NDArray[Any]: ...


def smallest_dtype(size: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds every id below `size`."""
    return np.min_scalar_type(size - 1)


def read_backend(folder: str | Path) -> Backend:
    """The backend of the tokenizer that transformers makes of `folder`.

    Raises DataError as `load_tokenizer`, and when transformers has no fast tokenizer for it.
    """
    return _read_plain(Path(folder)) or _read_through_transformers(folder)


def _read_plain(folder: Path) -> Backend | None:
    """The backend as tokenizer.json states it; None where transformers would change it, or refuse the folder."""
    from tokenizers import Tokenizer

    tokenizer_hash(folder)
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_bytes())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        state = json.loads(tokenizer.to_str())
        if not _states_itself(settings, state):
            return None
        end_of_text = tokenizer.token_to_id(_content(settings["eos_token"]))
    except Exception:  # the Rust side raises bare Exception; transformers will find the right words
        return None
    return Backend(json.dumps(state), end_of_text, tokenizer.get_vocab_size(with_added_tokens=True))


def _states_itself(settings: dict[str, Any], state: dict[str, Any]) -> bool:
    """Whether tokenizer_config.json adds nothing to tokenizer.json: no class with ways of its own, no tokens."""
    added = {token["content"]: token for token in state["added_tokens"]}
    listed = settings["added_tokens_decoder"].items()
    named = [settings.get(f"{role}_token") for role in _ROLES] + (settings.get("additional_special_tokens") or [])
    return (
        settings["tokenizer_class"] in _PLAIN_CLASSES
        and not any(settings.get(name) for name in ("add_prefix_space", "extra_special_tokens", "auto_map"))
        and '"add_prefix_space": true' not in json.dumps(state["pre_tokenizer"])
        and all(added.get(token["content"]) == {"id": int(number), **token} for number, token in listed)
        and all(_content(token) in added for token in named if token)
    )


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else token["content"]


def _read_through_transformers(folder: str | Path) -> Backend:
    tokenizer = load_tokenizer(folder)
    if not tokenizer.is_fast:
        raise DataError(f"{folder}: transformers has no fast tokenizer for {type(tokenizer).__name__}; give another")
    return Backend(tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id, len(tokenizer))


class HuggingFaceEncoder:
    """The reference. One thread: the stage's workers are the parallelism."""

    def __init__(self, backend: Backend) -> None:
        from tokenizers import Tokenizer

        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._backend = backend
        self._tokenizer = Tokenizer.from_str(backend.json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        pieces = [np.array([*one.ids, self._backend.end_of_text], self._backend.dtype) for one in encoded]
        return np.concatenate(pieces)

    def special_tokens(self) -> list[str]:
        """As they are spelled."""
        return [token.content for token in self._tokenizer.get_added_tokens_decoder().values()]
