"""How a key of a recipe is declared: its meaning, its default and what its value must satisfy."""

import re
from collections.abc import Callable, Iterable
from dataclasses import field, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, get_args

from medlm_recipes.token_math import in_units, parse_tokens

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


def optional_section(meaning: str) -> Any:
    """A nested group of keys that is null unless it is given; its type is `Keys | None`."""
    return field(default=None, metadata={"meaning": meaning, "check": None})


def group_of(hint: Any) -> type | None:
    """The dataclass behind a section's type, optional or not; None for the type of a single key."""
    options = [option for option in get_args(hint) if option is not NoneType] if isinstance(hint, UnionType) else [hint]
    return options[0] if isinstance(options[0], type) and is_dataclass(options[0]) else None


def tokens(value: Any) -> None:
    """A budget or duration in tokens."""
    parse_tokens(str(value))


def tokens_or_epochs(value: Any) -> None:
    """A budget or duration in tokens or in passes over the data."""
    in_units(value, "ep")


def tokens_or_share(value: Any) -> None:
    """A part of a run, in tokens, in passes over the data or as a share of it."""
    in_units(value, "ep", "dur")


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


def all_of(*checks: Check) -> Check:
    """Several checks on the same value."""

    def check_all(value: Any) -> None:
        for check in checks:
            check(value)

    return check_all


def each(check: Check) -> Check:
    """The same check on every element of a list."""

    def check_all(values: Any) -> None:
        for value in values:
            try:
                check(value)
            except ValueError as error:
                raise ValueError(f"element {value!r}: {error}") from None

    return check_all


def each_value(check: Check) -> Check:
    """The same check on every value of a group of keys."""

    def check_all(values: Any) -> None:
        for name, value in values.items():
            try:
                check(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None

    return check_all


def not_empty(value: Any) -> None:
    if not value:
        raise ValueError("must not be empty")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""
