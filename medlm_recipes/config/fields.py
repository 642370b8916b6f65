"""How a key of a recipe is declared: its meaning, its default and what its value must satisfy."""

import re
from collections.abc import Callable, Iterable
from dataclasses import field
from difflib import get_close_matches
from typing import Any

from medlm_recipes.token_math import parse_tokens

REQUIRED = "???"  # OmegaConf's spelling of a value that the user must give

Check = Callable[[Any], object]
"""Raises ValueError with what is wrong with one value and how it is written rightly."""


def key(meaning: str, default: Any = REQUIRED, *, check: Check | None = None) -> Any:
    """A key of a recipe. A default list or dict is copied per instance."""
    metadata = {"meaning": meaning, "check": check}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(kind: type, meaning: str) -> Any:
    """A nested group of keys, itself a dataclass of keys."""
    return field(default_factory=kind, metadata={"meaning": meaning, "check": None})


def tokens(value: Any) -> None:
    """A budget or duration in tokens."""
    parse_tokens(value)


def remote_url(value: Any) -> None:
    """A folder in an object store."""
    if value is not None and not re.match(r"[a-z0-9]+://[^/]", value):
        raise ValueError("must be a URL such as s3://bucket/path; a folder on this machine is given as `run`")


def positive(value: Any) -> None:
    if not value > 0:
        raise ValueError("must be above 0")


def at_least(low: float) -> Check:
    def check(value: Any) -> None:
        if not value >= low:
            raise ValueError(f"must be at least {low}")

    return check


def within(low: float, high: float) -> Check:
    def check(value: Any) -> None:
        if not low <= value <= high:
            raise ValueError(f"must lie in {low} to {high}")

    return check


def one_of(*names: str) -> Check:
    def check(value: Any) -> None:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}{did_you_mean(value, names)}")

    return check


def each(check: Check) -> Check:
    """The same check on every element of a list."""

    def check_all(values: Any) -> None:
        for value in values:
            try:
                check(value)
            except ValueError as error:
                raise ValueError(f"element {value!r}: {error}") from None

    return check_all


def not_empty(value: Any) -> None:
    if not value:
        raise ValueError("must not be empty")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""
