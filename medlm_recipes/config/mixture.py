"""The key `data.mixture` of train: how much of what is trained on comes from each source."""

from collections.abc import Mapping
from typing import Any

from medlm_recipes.token_math import parse_tokens

_ROUNDING = 0.001  # by which shares may miss 1, as rounded figures do


def check_mixture(mixture: Mapping[str, Any]) -> None:
    """Raises ValueError unless it is shares that sum to 1, or token targets; not both."""
    given = {source: value for source, value in mixture.items() if isinstance(value, str) or value != 0}
    if not given:
        raise ValueError("names no source that is trained on; leave it null to take every source once a pass")
    targets = {source for source, value in given.items() if isinstance(value, str)}
    if targets and targets != given.keys():
        share = min(given.keys() - targets)
        raise ValueError(
            f"{share} has a share and {min(targets)} a token target; give every source a share, or every one a target"
        )
    for source, value in given.items():
        if targets:
            _target(source, value)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ValueError(f"{source}: {value!r} is neither a share in 0 to 1 nor tokens like 1_000_000tok")
    if not targets and abs(sum(given.values()) - 1) > _ROUNDING:
        raise ValueError(f"the shares sum to {sum(given.values()):.6g}, not 1")


def shares_of(mixture: Mapping[str, Any]) -> dict[str, float]:
    """Share of the tokens by source, summing to 1, in sorted order; a source of share 0 is not in it."""
    sizes = {
        source: parse_tokens(value) if isinstance(value, str) else float(value)
        for source, value in sorted(mixture.items())
    }
    total = sum(sizes.values())
    return {source: size / total for source, size in sizes.items() if size}


def target_of(mixture: Mapping[str, Any]) -> int | None:
    """Tokens that all targets add up to; None for shares."""
    targets = [parse_tokens(value) for value in mixture.values() if isinstance(value, str)]
    return sum(targets) if targets else None


def _target(source: str, value: str) -> None:
    try:
        parse_tokens(value)
    except ValueError as error:
        raise ValueError(f"{source}: {value!r}: {error}; 0 leaves a source out") from None
