"""A sanity check and how it ended."""

from dataclasses import dataclass

PASS, WARN, FAIL, NOT_CHECKED = "pass", "warn", "fail", "not checked"


@dataclass(frozen=True)
class Check:
    """name: what was looked at. outcome: one of those above. found: what was seen, or why nothing was."""

    name: str
    outcome: str
    found: str
