"""Stored rows to the tensors that a model is given."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from medlm_recipes.models.loss import IGNORED
from medlm_recipes.shards.packing import is_padding
from medlm_recipes.shards.tasks import Facts, task_of


class RowReader:
    """Reads the rows of shards with such facts, whose columns `shards.tasks` describes."""

    def __init__(self, facts: Facts) -> None:
        self._task = task_of(facts)
        self._end_of_text = int(facts["end_of_text"])
        self._is_padded = facts.get("packing") == "pad"

    def read(self, row: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """{"input_ids", "labels"} as int64, for sft "begins" as bool; labels that have no loss are IGNORED."""
        tokens = torch.from_numpy(row["tokens"].astype(np.int64))
        if "label" in row:
            return {"input_ids": tokens, "labels": torch.tensor(int(row["label"]))}
        labels = tokens.clone()
        if self._task == "sft":
            labels[torch.from_numpy(row["loss"] == 0)] = IGNORED
            return {"input_ids": tokens, "labels": labels, "begins": torch.from_numpy(row["begins"] != 0)}
        if self._is_padded:
            labels[is_padding(tokens, self._end_of_text)] = IGNORED
        return {"input_ids": tokens, "labels": labels}
