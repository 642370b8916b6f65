"""The files of an evaluate folder: their names, and reading them back."""

import json
from pathlib import Path
from typing import Any

from medlm_recipes.errors import DataError

RESULTS = "results.json"
SAMPLES = "samples.jsonl"
METRIC = "acc"
"""The main score of every protocol: the share of questions answered rightly."""


def read_results(folder: str | Path) -> dict[str, Any]:
    """results.json of an evaluate folder. Raises DataError when it is missing, damaged or marked invalid."""
    results = load_results(folder)
    if not results.get("valid", True):
        raise invalid(folder, results)
    return results


def load_results(folder: str | Path) -> dict[str, Any]:
    """The same, marked invalid or not. Raises DataError when it is missing or damaged."""
    path = Path(folder) / RESULTS
    try:
        results: dict[str, Any] = json.loads(path.read_text())
        score = results["scores"][METRIC]
        _ = score["value"], score["standard_error"], score["p_above_chance"], results["n"], results["chance"]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run recipes/evaluate.py with out={folder} first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove {folder} and evaluate again") from None
    return results


def invalid(folder: str | Path, results: dict[str, Any]) -> DataError:
    """What is said of results that are marked invalid, whenever somebody meets them."""
    return DataError(
        f"{folder}: results are there, but marked invalid: {results['invalid_because']}; look at the texts in its "
        f"{SAMPLES}, then choose a task or model that answers in the form that is asked for, or raise max_unparsed"
    )
