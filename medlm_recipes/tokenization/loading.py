"""Loading a tokenizer folder and naming it by its hash."""

from pathlib import Path
from typing import Any

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import hash_file


def load_tokenizer(folder: str | Path) -> Any:
    """The Hugging Face fast tokenizer in `folder`; nothing is fetched and no foreign code runs.

    Raises DataError when the folder holds no `tokenizer.json` or it cannot be read, or when it has
    no single end-of-text token.
    """
    from transformers import AutoTokenizer

    tokenizer_hash(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the Rust side raises bare Exception for a damaged tokenizer.json
        raise DataError(f"{folder}: not a readable tokenizer ({str(error).splitlines()[0]})") from None
    if tokenizer.eos_token_id is None:
        raise DataError(f"{folder}: the tokenizer names no end-of-text token; set eos_token in tokenizer_config.json")
    return tokenizer


def tokenizer_hash(folder: str | Path) -> str:
    """sha256 of `tokenizer.json`: the identity that manifests record and later stages compare.

    Raises DataError when there is no such file.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a tokenizer folder, made by recipes/train_tokenizer.py")
    return hash_file(path)
