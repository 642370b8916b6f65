"""Both designs of a sweep on the closed world, for real: do more tokens pay, and is a branch worth a run of its own?

    python benchmarks/sweep.py FOLDER [--last TOKENS] [--alone N] [--kills N] [--ranks N] [--seed N]
        [--world KEY=VALUE ...] [--train KEY=VALUE ...]

Makes the quickstart's world in FOLDER (what is there is not made again), then sweeps five doubling budgets up to
TOKENS in design branch and in design checkpoints, prints both, and trains N of the budgets as runs of their own with
the branch's schedule. Then kills a small sweep N times with SIGKILL at random moments, each time starting it again
until it is done, and compares its report with that of a sweep that nobody touched, byte by byte. Exits 1 when
perplexity does not fall or accuracy not rise beyond two standard errors from the smallest to the largest budget,
when the branches cost more than 0.75 of separate runs, when a loss differs by more than 0.01 nats from that of a
run of its own, or when a report differs.
"""

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.sweep.cost import trained, trained_separately
from medlm_recipes.sweep.plan import plan_sweep

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
QUICK = "yamls/quickstart"
NEAR = 0.01  # nats a token


def run(*words: str) -> float:
    """Seconds that a command took, which must succeed."""
    began = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=ENVIRONMENT, check=True)
    return time.monotonic() - began


def make_line(folder: Path, world: list[str]) -> None:
    shards = [f"documents={folder}/documents", f"tokenizer={folder}/tokenizer", f"out={folder}/shards"]
    run("recipes/generate_closed_world.py", f"{QUICK}/world.yaml", f"out={folder}/world", *world)
    run("recipes/prepare_corpus.py", f"{QUICK}/corpus.yaml", f"inputs={folder}/world/pubmed", f"out={shards[0][10:]}")
    run("recipes/train_tokenizer.py", f"{QUICK}/tokenizer.yaml", shards[0], f"out={folder}/tokenizer")
    run("recipes/convert_text_to_mds.py", f"{QUICK}/shards.yaml", *shards)


def write_recipe(folder: Path, name: str, asked: argparse.Namespace, last: int, **more: Any) -> Path:
    """A sweep recipe called `name`: five doublings up to `last`, runs and report in FOLDER/name."""
    first = last // 16
    given = {"shards": f"{folder}/shards", "tokenizer": f"{folder}/tokenizer"}
    overrides = [*(f"{key}={value}" for key, value in given.items()), f"scheduler.warmup={first // 2}tok", *asked.train]
    budgets = [first * 2**power for power in range(5)]
    if more.get("design") == "checkpoints":
        saved = ",".join(f"{budget}tok" for budget in budgets[:-1])
        overrides += [f"max_duration={last}tok", f"budgets=[{saved}]"]
    values = {
        "out": f"{folder}/{name}/report",
        "design": "branch",
        "train": [f"{QUICK}/train.yaml"],
        "runs": f"{folder}/{name}",
        "train_overrides": overrides,
        "budgets": [f"{budget}tok" for budget in budgets],
        "evaluate": {"closed-world": [f"{QUICK}/evaluate.yaml", f"benchmark={folder}/world/benchmark/test.jsonl"]},
        "ranks": asked.ranks,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values | more))
    return path


def points(folder: Path, name: str) -> list[dict[str, Any]]:
    (series,) = json.loads((folder / name / "report/sweep.json").read_text())["series"]
    return series["points"]


def judge(folder: Path, name: str) -> bool:
    """Print a sweep's budgets; whether perplexity falls and accuracy rises beyond two standard errors."""
    found = points(folder, name)
    losses = [next(iter(point["validation"].values()))["loss"] for point in found]
    scores = [point["scores"]["closed-world"] for point in found]
    print(f"\n{name}\n  {'tokens':>10}  {'loss':>7}  {'perplexity':>10}  accuracy")
    for point, loss, score in zip(found, losses, scores, strict=True):
        accuracy = f"{score['value']:.3f} ± {score['standard_error']:.3f}"
        print(f"  {point['tokens']:>10,}  {loss:>7.4f}  {math.exp(loss):>10.3f}  {accuracy}")
    rise = scores[-1]["value"] - scores[0]["value"]
    error = math.hypot(scores[0]["standard_error"], scores[-1]["standard_error"])
    falls = all(later < earlier for earlier, later in pairwise(losses))
    print(f"  perplexity falls at every step: {falls}; accuracy {rise:+.3f}, {rise / error:.1f} standard errors")
    return falls and rise > 2 * error


def alone(folder: Path, recipe: Path, budgets: int) -> bool:
    """Train the sweep's last budgets as runs of their own; whether the branches' losses are theirs."""
    plan = plan_sweep(load_config(SweepConfig, recipe))
    (series,) = plan.series
    share = trained(series) / trained_separately(series)
    print(f"\nbranches train {trained(series):,} tokens, separate runs {trained_separately(series):,}: {share:.2f}")
    near = share <= 0.75
    for leg in series.legs[:-1][-budgets:] if budgets else []:
        assert leg.cooldown
        own = [one for one in leg.cooldown.overrides if not one.startswith(("start_from=", "run="))]
        place = folder / "alone" / f"tok{leg.tokens}"
        words = [leg.cooldown.recipe, *own, f"run={place}"]
        run("-m", "composer.cli", "-n", str(plan.config.ranks), "recipes/train.py", *words)
        branched, separate = (read_rows(place / "metrics.jsonl")[-1]["loss"] for place in (leg.run, place))
        print(f"  {leg.tokens:,} tokens: branch {branched:.6f}, a run of its own {separate:.6f}")
        near = near and abs(branched - separate) < NEAR
    return near


def kill_sweeps(folder: Path, asked: argparse.Namespace) -> bool:
    """Whether the report of a sweep that was killed at random moments is that of one that was not."""
    small = {"cooldown": {"fraction": 0.2}, "evaluate": {}}
    last = asked.last // 8
    reports = []
    chance = random.Random(asked.seed)
    length = run("recipes/sweep.py", str(write_recipe(folder, "untouched", asked, last, **small)))
    recipe = write_recipe(folder, "killed", asked, last, **small)
    for number in range(asked.kills):
        process = subprocess.Popen([sys.executable, "recipes/sweep.py", str(recipe)], cwd=ROOT, env=ENVIRONMENT)
        try:
            process.wait(chance.uniform(0.1, 1.5) * length / asked.kills)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            print(f"killed {number + 1} of {asked.kills}", flush=True)
    run("recipes/sweep.py", str(recipe))
    for name in ("untouched", "killed"):
        files = {path.name: path.read_bytes() for path in (folder / name / "report").iterdir()}
        files.pop("manifest.json")  # holds hashes of logs, in which the times differ
        reports.append(files)
    print(f"\nreports of the untouched and the killed sweep are the same bytes: {reports[0] == reports[1]}")
    return reports[0] == reports[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--last", type=int, default=5_000_000)
    parser.add_argument("--alone", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", nargs="*", default=[], help="overrides of the quickstart's world.yaml")
    parser.add_argument("--train", nargs="*", default=[], help="overrides of the quickstart's train.yaml")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    make_line(folder, asked.world)
    branch = write_recipe(folder, "branch", asked, asked.last)
    checkpoints = write_recipe(folder, "checkpoints", asked, asked.last, design="checkpoints")
    seconds = [run("recipes/sweep.py", str(recipe)) for recipe in (branch, checkpoints)]
    good = [judge(folder, "branch"), judge(folder, "checkpoints"), alone(folder, branch, asked.alone)]
    print(f"sweeps took {seconds[0]:.0f} s (branch) and {seconds[1]:.0f} s (checkpoints)")
    if asked.kills:
        good.append(kill_sweeps(folder, asked))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
