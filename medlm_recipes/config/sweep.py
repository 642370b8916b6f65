"""Keys of sweep."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.config.evaluate import named_evaluations
from medlm_recipes.config.fields import (
    at_least,
    each,
    key,
    not_empty,
    one_of,
    optional_section,
    positive,
    section,
    tokens,
    within,
)
from medlm_recipes.token_math import parse_tokens


@dataclass
class GeometricKeys:
    first: str = key("the smallest budget, in tokens", check=tokens)
    last: str = key("no budget is above this", check=tokens)
    ratio: float = key("each budget over the one before", 2.0, check=at_least(1.1))

    def problems(self) -> Iterator[tuple[str, str]]:
        if parse_tokens(self.first) > parse_tokens(self.last):
            yield "last", f"{self.last} is below first {self.first}"

    def budgets(self) -> list[int]:
        """Tokens; `last` itself is among them when it is `first` times a power of `ratio`, up to rounding."""
        first, last = parse_tokens(self.first), parse_tokens(self.last)
        found = [first]
        while (following := round(first * self.ratio ** len(found))) <= last:
            found.append(following)
        return found


@dataclass
class CooldownKeys:
    """Hägele et al. 2024 (arXiv 2405.18392): 10 to 20 % of the tokens, 1-sqrt, down to zero."""

    fraction: float = key("share of each budget's tokens that its cooldown takes", 0.2, check=within(0.01, 0.9))
    shape: str = key("as scheduler.cooldown_shape of train", "1-sqrt", check=one_of("linear", "1-sqrt"))
    final_lr_ratio: float = key("learning rate at the budget as a share of the peak", 0.0, check=within(0, 1))


@dataclass
class SlurmKeys:
    """The jobs that `launch: slurm` writes, in the form of yamls/launch/slurm.sbatch."""

    gpus_per_node: int = key("ranks of a host, a GPU each; a job takes ranks / gpus_per_node hosts", 8,
                             check=at_least(1))  # fmt: skip
    cpus_per_node: int = key("cores of a host", 64, check=at_least(1))
    partition: str = key("partition of the jobs; empty: the cluster's own", "")
    time: str = key("time limit of a training job, as sbatch takes it", "7-00:00:00", check=not_empty)
    evaluate_time: str = key("time limit of an evaluation and of the report", "12:00:00", check=not_empty)
    sbatch_args: dict[str, str] = key("further options of sbatch, like {account: lab, qos: normal}", {})


@dataclass
class SweepConfig:
    out: str = key("folder to write: sweep.json, report.html, *.png, manifest.json")
    design: str = key(
        "checkpoints: one train run, evaluated at the budgets that it saved on its way; branch: a trunk at a constant "
        "learning rate and a short cooldown branched off it for each budget, which so gets a finished run's quality",
        "checkpoints",
        check=one_of("checkpoints", "branch"),
    )
    train: list[str] = key("train recipes, one a model size; what is missing of their runs is launched",
                           check=not_empty)  # fmt: skip
    evaluate: dict[str, list[str]] = key(
        "benchmark's name -> an evaluate recipe and key=value laid over it; checkpoint and out are set for each "
        "budget. Empty: perplexity alone",
        {},
        check=named_evaluations,
    )
    train_overrides: list[str] = key("key=value laid over every train recipe", [])
    evaluate_overrides: list[str] = key("key=value laid over every evaluate recipe, above its own", [])
    runs: str | None = key(
        "folder for the sweep's runs, <runs>/<train recipe's name>[-seed<N>]; null: the run that the one train recipe "
        "names",
        None,
    )
    seeds: list[int] = key(
        "each is a series of runs of its own, with other initial weights and another order of samples (seed and "
        "data.shuffle_seed); empty: the train recipe's",
        [],
    )
    budgets: list[str] = key(
        "token budgets to compare; empty: those of the train recipe and its end", [], check=each(tokens)
    )
    geometric: GeometricKeys | None = optional_section("budgets from first to last, instead of a list of budgets")
    cooldown: CooldownKeys = section(CooldownKeys, "branch: how each budget cools down")
    gain_enough: float = key(
        "the report calls more tokens not worth it once the validation loss is expected to fall by less than so many "
        "nats a token with twice the tokens",
        0.01,
        check=positive,
    )
    forecast: list[str] = key(
        "train recipes whose loss at their end the report foretells from the sizes measured (three or more); they are "
        "not trained, and only their model and max_duration count",
        [],
    )
    compare: list[str] = key("folders of other sweeps (their out), shown beside this one in the report", [])
    ranks: int = key("ranks that a train run is launched on", 1, check=at_least(1))
    evaluate_ranks: int = key("ranks that an evaluation is launched on", 1, check=at_least(1))
    launch: str = key(
        "what is missing; local: is launched here, one after another; slurm: is written as jobs, <out>.slurm/*.sbatch "
        "and submit.sh, and not run; none: is a gap in the report",
        "local",
        check=one_of("local", "slurm", "none"),
    )
    stop_at_failure: bool = key("end at the first launch that fails, instead of reporting its budgets as gaps", False)
    slurm: SlurmKeys = section(SlurmKeys, "launch slurm: what the jobs ask for")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.budgets and self.geometric:
            yield "geometric", "give either budgets or geometric"
        if self.runs is None and (len(self.train) > 1 or self.seeds):
            yield "runs", "missing; several train recipes, or seeds, need a folder for their runs"
        stems = Counter(Path(recipe).stem for recipe in self.train)
        for stem in sorted(stem for stem, times in stems.items() if times > 1):
            yield "train", f"two recipes are called {stem}, after which folders are named; rename a copy"
        if len(set(self.seeds)) < len(self.seeds):
            yield "seeds", f"{self.seeds} names a seed twice"
        for name, ranks in (("ranks", self.ranks), ("evaluate_ranks", self.evaluate_ranks)):
            if self.launch == "slurm" and ranks > self.slurm.gpus_per_node and ranks % self.slurm.gpus_per_node:
                yield name, f"{ranks} is not a multiple of slurm.gpus_per_node {self.slurm.gpus_per_node}"
