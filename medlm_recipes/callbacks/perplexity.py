"""Loss and perplexity against tokens: `metrics.jsonl`, `perplexity.png` and a line a row."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from medlm_recipes.callbacks.metrics import FILE_NAME, SCORED, drop_rows_after, read_rows
from medlm_recipes.parallel.gradients import ClipGradients
from medlm_recipes.token_math import bf16_peak, in_words, model_flops_utilization


class PerplexityTracker(Callback):
    """Rows of training loss (mean over all ranks) every `log_interval` steps and of each validation.

    A row holds tokens, step, split, source, loss (nats a token) and perplexity; a training row also
    lr and gradient_norm, a validation row bits_per_byte where its rows are text, or the accuracy of a
    head, whose loss is nats an example; what is not finite is null. On resume the rows past the
    checkpoint are dropped, since their steps are taken again.
    """

    def __init__(
        self,
        run: Path,
        budgets: list[int],
        log_interval: int,
        bytes_per_token: dict[str, float | None],
        gradients: ClipGradients,
        flops_per_token: int | None = None,
    ) -> None:
        self.path = run / FILE_NAME
        self.budgets = sorted(budgets)
        self.end = self.budgets[-1]
        self.log_interval = log_interval
        self.bytes_per_token = bytes_per_token
        self.gradients = gradients
        self.flops_per_token = flops_per_token
        self._clock = (0.0, 0)

    def fit_start(self, state: State, logger: Logger) -> None:
        self._clock = _clock(state)
        if dist.get_global_rank() == 0:
            drop_rows_after(self.path, int(state.timestamp.token))

    def batch_end(self, state: State, logger: Logger) -> None:
        if int(state.timestamp.batch) % self.log_interval and int(state.timestamp.token) < self.end:
            return
        assert isinstance(state.total_loss_dict, dict)
        row = self._row(state, "train", "all", float(state.total_loss_dict["loss/train/total"]))
        row |= {"lr": state.schedulers[0].get_last_lr()[0], "gradient_norm": self.gradients.norm}
        self._write(row, self._rate(state))

    def eval_end(self, state: State, logger: Logger) -> None:
        assert state.dataloader_label is not None
        source = state.dataloader_label
        # Composer has computed, and so reduced, the metric already; this reads what it kept.
        metrics = state.eval_metrics[source]
        loss = float(metrics["LanguageCrossEntropy"].compute())
        row = self._row(state, "validation", source, loss)
        logger.log_metrics({f"metrics/{source}/perplexity": row["perplexity"]})
        aside = ""
        if "MaskedAccuracy" in metrics:
            row["accuracy"] = float(metrics["MaskedAccuracy"].compute())
            aside = f"accuracy {row['accuracy']:.4f}"
        elif bytes_per_token := self.bytes_per_token[source]:
            row["bits_per_byte"] = loss / math.log(2) / bytes_per_token
            aside = f"{row['bits_per_byte']:.4f} bits a byte"
        self._write(row, aside)

    def eval_after_all(self, state: State, logger: Logger) -> None:
        if dist.get_global_rank() == 0:
            draw(self.path)

    def _row(self, state: State, split: str, source: str, loss: float) -> dict[str, Any]:
        return {
            "tokens": int(state.timestamp.token),
            "step": int(state.timestamp.batch),
            "split": split,
            "source": source,
            "loss": loss,
            "perplexity": perplexity(loss),
        }

    def _write(self, row: dict[str, Any], aside: str) -> None:
        if dist.get_global_rank() != 0:
            return
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        with open(self.path, "a") as stream:
            stream.write(json.dumps(finite, allow_nan=False) + "\n")
        print(
            f"{in_words(row['tokens']):>6} of {in_words(self.end)} tokens  {row['split']}/{row['source']}  "
            f"loss {row['loss']:.4f}  perplexity {row['perplexity']:.2f}  {aside}",
            flush=True,
        )

    def _rate(self, state: State) -> str:
        """Since the last row, validation and checkpoints left out."""
        before, self._clock = self._clock, _clock(state)
        seconds, tokens = (now - then for now, then in zip(self._clock, before, strict=True))
        rate = tokens / max(seconds, 1e-9)
        now = self._clock[1]
        targets = [next((budget for budget in self.budgets if budget > now), self.end), self.end]
        left = [f"{in_words(target)} in {in_time((target - now) / max(rate, 1e-9))}" for target in targets]
        return f"{rate:,.0f} tokens/s{self._utilization(rate)}, {', '.join(dict.fromkeys(left))}"

    def _utilization(self, rate: float) -> str:
        peak = bf16_peak(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
        if peak is None or self.flops_per_token is None:
            return ""
        used = model_flops_utilization(rate, self.flops_per_token, peak * dist.get_world_size())
        return f", MFU {used:.1%}"


def _clock(state: State) -> tuple[float, int]:
    """Seconds of training, as Composer counts them, and tokens."""
    return state.timestamp.total_wct.total_seconds(), int(state.timestamp.token)


def in_time(seconds: float) -> str:
    """A duration for people: 45 s, 12 min, 5.3 h, 6.2 days."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(seconds, 0):.0f} s"


def perplexity(loss: float) -> float:
    """exp of a loss in nats; infinity where a float cannot hold it."""
    return math.exp(loss) if loss < 700 else math.inf


def draw(path: Path) -> None:
    """`perplexity.png` beside `metrics.jsonl`: training and every validation source against tokens."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in read_rows(path):
        if row["split"] == SCORED:
            continue
        value = math.nan if row["perplexity"] is None else row["perplexity"]
        curves.setdefault(f"{row['split']}: {row['source']}", []).append((row["tokens"], value))
    for name, points in curves.items():
        style = {"linewidth": 1, "alpha": 0.6} if name.startswith("train") else {"marker": "o"}
        axes.plot([tokens for tokens, _ in points], [value for _, value in points], label=name, **style)
    axes.set(xlabel="tokens", ylabel="perplexity", yscale="log")
    axes.yaxis.set_major_formatter(LogFormatter())  # 20 and 30, not 2 x 10^1 and 3 x 10^1
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axes.xaxis.set_major_formatter(lambda tokens, _: in_words(int(tokens)))
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    aside = path.with_name("perplexity.partial.png")
    figure.savefig(aside, dpi=150)
    aside.replace(path.with_name("perplexity.png"))
