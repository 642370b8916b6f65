"""Questions to the logits of a model with a head: of every option, or of every label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from medlm_recipes.errors import DataError
from medlm_recipes.examples.layout import Layout, layout_of
from medlm_recipes.examples.reading import read_benchmark_record
from medlm_recipes.examples.records import Question
from medlm_recipes.models.heads import head_logits


def score_options(
    model: Any, facts: Mapping[str, Any], tokenizer: str | Path, records: Sequence[Mapping[str, Any]], batch_size: int
) -> list[list[float]]:
    """Logits of every record of a prepared benchmark, one an option in its options' order, or one a label.

    model: what `load_model` gives for a checkpoint of task multiple_choice or classification. facts: of that
    checkpoint's manifest. Rows are laid out as for training. Raises DataError, naming the record, for one
    that is unsound or has no room in a row.
    """
    layout = layout_of(facts, tokenizer)
    rows = [_row(layout, record, number) for number, record in enumerate(records)]
    logits: list[list[float]] = []
    device = model.get_input_embeddings().weight.device
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        options = max(len(row) for row in batch)
        longest = max(len(ids) for row in batch for ids in row)
        tokens = torch.full((len(batch), options, longest), layout.backend.end_of_text)
        for place, row in enumerate(batch):
            for option, ids in enumerate(row):
                tokens[place, option, : len(ids)] = torch.from_numpy(ids)
        with torch.no_grad():
            scored = head_logits(model, (tokens if layout.task == "multiple_choice" else tokens[:, 0]).to(device))
        for row, one in zip(batch, scored.float().tolist(), strict=True):
            logits.append(one[: len(row)] if layout.task == "multiple_choice" else one)
    return logits


def _row(layout: Layout, record: Mapping[str, Any], number: int) -> Any:
    question = read_benchmark_record(dict(record))
    laid_out = layout.lay(question) if isinstance(question, Question) else question
    if isinstance(laid_out, str):
        raise DataError(f"question {record.get('id', number)}: {laid_out}; leave it out, or prepare it again")
    return laid_out.sequences
