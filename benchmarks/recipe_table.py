"""The table of docs/recipes.md: every recipe for pretraining whose model is stated, on its cluster, by preflight.

    python benchmarks/recipe_table.py [NAME ...] > table.md

Runs preflight on each, without shards, and prints a row of Markdown: hardware, tokens, memory at the peak of the
fullest rank, days with the stated interval, GPU-hours. NAME may be recipe@profile. Half a minute each.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from medlm_recipes.token_math import in_words

ROOT = Path(__file__).parents[1]
ON = {"biomedlm-125m": "single-gpu", "biomedlm-350m": "single-gpu", "meditron-70b": "a100-80gb-128"}
USUAL = "a100-40gb-128"
GIB = 1 << 30
DAY = 86_400


def main() -> None:
    print("| recipe | what it is | hardware | tokens | GPU memory | time |\n|---|---|---|---|---|---|")
    for name in sys.argv[1:] or pretraining():
        recipe, _, profile = name.partition("@")
        print(row(recipe, profile or ON.get(recipe, USUAL)), flush=True)


def pretraining() -> list[str]:
    """Recipes that state their model; what needs a base from the hub is left out."""
    recipes = sorted((ROOT / "yamls" / "train").glob("*.yaml"))
    return [path.stem for path in recipes if yaml.safe_load(path.read_text())["model"]["name"] != "hf"]


def row(name: str, cluster: str) -> str:
    """One line of the table; a recipe that preflight refuses shows what it said."""
    recipe = f"yamls/train/{name}.yaml"
    what = (ROOT / recipe).read_text().splitlines()[0].removeprefix("# ").rstrip(".:")
    with tempfile.TemporaryDirectory() as folder:
        command = ["recipes/preflight.py", recipe, f"cluster={cluster}", f"preflight.out={folder}/out"]
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        path = Path(folder, "out", "preflight.json")
        if not path.is_file():
            return f"| `{name}` | {what} | {cluster} | | | {done.stderr.strip().splitlines()[-1]} |"
        report = json.loads(path.read_text())
    run, time, memory = report["run"], report["time"], report["memory"]
    peak = f"{sum(memory['peak']['kinds'].values()) / GIB:.1f} of {memory['usable'] / GIB:.0f} GiB"
    days = " to ".join(f"{time[bound] / DAY:.2g}" for bound in ("low", "high"))
    return (
        f"| `{name}` | {what} | {run['ranks']} x {run['device']} | {in_words(run['end'])} "
        f"| {peak}, {memory['verdict']['word']} | {days} days, {time['gpu_hours']:,.0f} GPU-hours |"
    )


if __name__ == "__main__":
    main()
