"""What a reader of an original benchmark is given, and what it makes of a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medlm_recipes.config.benchmark import BenchmarkConfig

LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Raw:
    """A record as it was distributed.

    file: without machine paths. name: its own id, or its number in the file from 1. number: in its split,
    from 1. fields: an object, if the file is sound.
    """

    file: str
    name: str
    number: int
    fields: Any

    @property
    def place(self) -> str:
        return f"{self.file}:{self.name}"


@dataclass(frozen=True)
class Original:
    """records: of each split that is made. test_labels: of PubMedQA's test, by item."""

    config: BenchmarkConfig
    records: Mapping[str, Sequence[Raw]]
    test_labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """A sound record that is no question of this benchmark, or not of this split. reason: in one word."""

    reason: str


class Unfit(Exception):
    """What makes a record none that the format allows."""


Read = Callable[[str, Raw], dict[str, Any] | LeftOut]
"""(split, record) to a question, see `evaluation.benchmark`. Raises Unfit."""


def question(
    identifier: str,
    asked: Any,
    options: Mapping[str, Any],
    answer_idx: Any,
    *,
    context: str = "",
    subject: Any = "",
    explanation: Any = "",
) -> dict[str, Any]:
    """A question; `evaluation.benchmark.fault_of` judges it. A null subject or explanation is none."""
    return {
        "id": identifier,
        "question": asked,
        "context": context,
        "options": dict(options),
        "answer_idx": answer_idx,
        "answer": options.get(answer_idx) if isinstance(answer_idx, str) else None,
        "subject": subject or "",
        "explanation": explanation or "",
    }


def field_of(raw: Raw, name: str, kind: type | tuple[type, ...] = str) -> Any:
    """A field of a record. Raises Unfit when it is missing or of another kind."""
    value = raw.fields.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Unfit(f"{name} is missing" if name not in raw.fields else f"{name} is {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
