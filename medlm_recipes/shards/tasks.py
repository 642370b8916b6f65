"""What shards were made for, and what of a row follows from it; light, for plans.

task              columns                                 what is learnt
text              tokens (L,)                             every token
sft               tokens (L,), loss (L,), begins (L,)     the tokens whose loss is 1, the responses'
multiple_choice   tokens (options, L), label              which option is right
classification    tokens (L,), label                      the label

Rows are filled up with end-of-text tokens. sft: begins is 1 at the first token of an example, and of the
filling. multiple_choice: an option of end-of-text tokens alone is none.
"""

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]
"""Those of the manifest of a shards folder."""


def task_of(facts: Facts) -> str:
    """The task that shards were made for; those of convert_text_to_mds say nothing."""
    return str(facts.get("task", "text"))


def row_tokens(facts: Facts) -> int:
    """Tokens of a row, those of all its options and its filling included."""
    return int(facts.get("options", 1)) * int(facts["sequence_length"])


def differs_in_labels(facts: Facts) -> bool:
    """Whether rows have different numbers of labels, so that the mean of their losses is not that of their labels."""
    return task_of(facts) == "sft" or facts.get("packing") == "pad"


def columns_of(task: str, dtype: str, sequence_length: int, options: int) -> dict[str, str]:
    """The columns of rows of examples, as streaming's MDSWriter is given them; tokens are of `dtype`."""
    if task == "sft":
        kinds = {"tokens": dtype, "loss": "uint8", "begins": "uint8"}
        return {name: f"ndarray:{kind}:{sequence_length}" for name, kind in kinds.items()}
    shape = f"{options},{sequence_length}" if task == "multiple_choice" else sequence_length
    return {"tokens": f"ndarray:{dtype}:{shape}", "label": "uint16"}
