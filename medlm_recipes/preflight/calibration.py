"""Published throughput of llm-foundry's MPT, and what it says of each GPU: how far below its data sheet work runs.

throughput.jsonl holds the 216 rows of mosaicml/llm-foundry's scripts/train/benchmarking/README.md (Apache-2.0):
models of 125M to 70B parameters on 8 to 512 A100 and H100. The fp8 rows are left out.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.optimize import nnls

from medlm_recipes.preflight.devices import Device
from medlm_recipes.preflight.work import BF16, FP32, MPT, Blocks, Layout, Work, work_of

# MPT's shapes in llm-foundry's recipes: width, blocks. The feed-forward layer is four times as wide, the embedding
# tied, the positions learned, the vocabulary 50,368: with these the table's parameters come out to a thousandth.
_SHAPES = {
    "125m": (768, 12),
    "350m": (1024, 24),
    "760m": (1536, 24),
    "1b": (2048, 24),
    "3b": (2560, 32),
    "7b": (4096, 32),
    "13b": (5120, 40),
    "30b": (7168, 48),
    "70b": (8192, 80),
}
_VOCABULARY = 50_368

LOWEST = np.array([1.18, 1.0, 1.0, 0.0])
"""What physics leaves of each part's time over its time at the data sheet's rate. Matrices: cuBLAS reaches 85 % of an
A100's bf16 peak at best (265 of 312 TFLOP/s). Communication may hide behind the rest."""


@dataclass(frozen=True)
class Fit:
    """factors: of the time at the data sheet's rate, of matrices, attention, memory traffic and
    communication. error: that nine of ten rows, left out of the fit
    in turn, are predicted within, as a share; median: half of them. rows: how many."""

    factors: tuple[float, ...]
    error: float
    median: float
    rows: int


def seconds_at_peak(work: Work, device: Device, peak: float, node_gbps: float | None = None) -> np.ndarray[Any, Any]:
    """Seconds of matrices, attention, memory traffic and communication at the data sheet's rates, one by one."""
    network = (node_gbps or device.node_gbps) * 1e9 / 8
    return np.array(
        [
            work.matmul / peak,
            work.attention / peak,
            work.traffic / device.bandwidth,
            work.link / device.link + work.network / network,
        ]
    )


@cache
def measured(gpu: str) -> tuple[dict[str, Any], ...]:
    """The bf16 rows of the table for a GPU (`a100-40gb`, `a100-80gb`, `h100-80gb`)."""
    text = (files("medlm_recipes.preflight") / "throughput.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(row for row in rows if row["gpu"].replace("_", "-") == gpu and row["precision"] != "amp_fp8")


def work_of_row(row: dict[str, Any]) -> Work:
    """What llm-foundry's MPT did on one rank in a micro-batch of a row."""
    width, layers = _SHAPES[row["model"]]
    blocks = Blocks(layers, width, width, 4 * width, False, _VOCABULARY, row["seq_len"], tied=True)
    layout = Layout(
        sequence=row["seq_len"],
        micro_batch=row["micro_batch"],
        accumulation=row["grad_accum"],
        ranks=row["gpus"],
        shards=row["gpus"],
        devices_per_node=8,
        checkpointing=row["activation_checkpointing"],
        gathers=2 if row["sharding"] == "FULL_SHARD" else 1,
        reduced_bytes=BF16 if row["mixed_precision"] == "PURE" else FP32,
    )
    return work_of(blocks, MPT, layout)


def seconds_of_row(row: dict[str, Any]) -> float:
    """Measured, of a micro-batch."""
    return row["micro_batch"] * row["seq_len"] * row["gpus"] / row["tokens_per_s"]


@cache
def fit(gpu: str, device: Device, peak: float) -> Fit:
    """The factors of a GPU's rows, by least squares of relative errors above LOWEST."""
    rows = measured(gpu)
    parts = np.array([seconds_at_peak(work_of_row(row), device, peak) for row in rows])
    seconds = np.array([seconds_of_row(row) for row in rows])
    left_out = np.abs(np.log(leave_one_out(parts, seconds)))
    return Fit(
        factors=tuple(float(factor) for factor in factors_of(parts, seconds)),
        error=float(np.expm1(np.quantile(left_out, 0.9))),
        median=float(np.expm1(np.median(left_out))),
        rows=len(rows),
    )


def leave_one_out(parts: np.ndarray[Any, Any], seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Predicted over measured time of every row, from factors of the other rows."""
    everything = np.arange(len(seconds))
    return np.array(
        [
            parts[row] @ factors_of(parts[everything != row], seconds[everything != row]) / seconds[row]
            for row in everything
        ]
    )


def factors_of(parts: np.ndarray[Any, Any], seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """argmin over factors >= LOWEST of the squared relative errors."""
    relative = parts / seconds[:, None]
    return LOWEST + nnls(relative, 1 - relative @ LOWEST)[0]
