"""Does fine-tuning do what it is for? Three tasks on the closed world, by the verbs, from the quickstart's model.

    python benchmarks/finetuning.py FOLDER [--ranks N]

FOLDER is the quickstart's (out/quickstart after `make quickstart`); what is not there is made, which takes as long.
The questions are put in words that the texts do not have, and those that are scored are about other drugs than those
that are trained on: what they ask stands in the texts alone. Prints scores with standard errors and exits 1 unless

- a head over the options beats the pretrained model's likelihood of them by more than two standard errors of the
  difference,
- a head over claims beats the majority by more than two standard errors,
- conversations teach a form in which at least 95 % of the answers can be read.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folders
from medlm_recipes.tokenization.chatml import END, START

ROOT = Path(__file__).parents[1]
QUICK = "yamls/quickstart"
TASKS = "yamls/evaluate/tasks"
Score = tuple[float, float]
"""Value and standard error."""


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def verb(name: str, *words: str) -> None:
    run(f"recipes/{name}.py", *words)


def make_quickstart(folder: Path, ranks: int) -> Path:
    """The last checkpoint of the quickstart's run, which is made unless it is done."""
    if (folder / "run/manifest.json").is_file():
        return checkpoint_folders(folder / "run")[0]
    shards = [f"documents={folder}/documents", f"tokenizer={folder}/tokenizer", f"out={folder}/shards"]
    verb("generate_closed_world", f"{QUICK}/world.yaml", f"out={folder}/world")
    verb("prepare_corpus", f"{QUICK}/corpus.yaml", f"inputs={folder}/world/pubmed", f"out={folder}/documents")
    verb("train_tokenizer", f"{QUICK}/tokenizer.yaml", shards[0], f"out={folder}/tokenizer")
    verb("convert_text_to_mds", f"{QUICK}/shards.yaml", *shards)
    given = [f"run={folder}/run", f"shards={folder}/shards", f"tokenizer={folder}/tokenizer"]
    launch(ranks, f"{QUICK}/train.yaml", *given)
    return checkpoint_folders(folder / "run")[0]


def launch(ranks: int, *words: str) -> None:
    run("-m", "composer.cli", "-n", str(ranks), "recipes/train.py", *words)


class Bench:
    """What is fine-tuned from one checkpoint stands in FOLDER/finetuning, made anew each time but for the launches."""

    def __init__(self, folder: Path, checkpoint: Path, ranks: int) -> None:
        self.folder = folder
        self.checkpoint = checkpoint
        self.ranks = ranks
        self.out = folder / "finetuning"

    def tune(
        self, name: str, source: str, tokenizer: Path, examples: list[str], train: list[str]
    ) -> tuple[Path, float]:
        """The checkpoint of a fine-tuning, and the seconds that it took with its conversion."""
        began = time.monotonic()
        task = [word for word in examples if word.startswith("task=")]
        shards = self.out / f"{name}-examples"
        given = [f"inputs={self.folder}/world/finetune/{source}", f"tokenizer={tokenizer}", f"out={shards}"]
        verb("convert_examples_to_mds", f"{QUICK}/examples.yaml", *given, *examples)
        given = [f"run={self.out / name}", f"shards={shards}", f"tokenizer={tokenizer}"]
        launch(self.ranks, f"{QUICK}/finetune.yaml", *given, f"model.pretrained={self.checkpoint}", *task, *train)
        return checkpoint_folders(self.out / name)[0], time.monotonic() - began

    def score(self, checkpoint: Path, source: str, task: str, *more: str) -> dict[str, Any]:
        out = self.out / f"scores-{checkpoint.parents[1].name}-{source}"
        benchmark = self.folder / f"world/finetune/{source}/test.jsonl"
        given = [f"checkpoint={checkpoint}", f"benchmark={benchmark}", f"task={task}", f"out={out}", *more]
        verb("evaluate", f"{QUICK}/evaluate.yaml", *given)
        results: dict[str, Any] = json.loads((out / "results.json").read_text())
        return results


def accuracy(results: dict[str, Any]) -> Score:
    score = results["scores"]["acc"]
    return score["value"], score["standard_error"]


def asking(out: Path) -> str:
    """A task file of evaluate that asks as the conversations did: Meditron's, without its instruction."""
    task = yaml.safe_load((ROOT / TASKS / "meditron_cot_medmcqa.yaml").read_text())
    del task["description"]
    task["doc_to_text"] = task["doc_to_text"].replace("Let's think step by step.", "").rstrip("\n")
    task["task"] = "closed_world_chat"
    path = out / "closed_world_chat.yaml"
    path.write_text(yaml.safe_dump(task))
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ranks", type=int, default=2)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    bench = Bench(folder, make_quickstart(folder, asked.ranks), asked.ranks)
    bench.out.mkdir(exist_ok=True)
    tokenizer, chatting = folder / "tokenizer", bench.out / "tokenizer"
    special = f"special_tokens=['{START}','{END}']"
    verb(
        "train_tokenizer",
        "yamls/tokenizer/meditron.yaml",
        f"base={tokenizer}",
        f"out={chatting}",
        "added_tokens=[]",
        special,
    )

    before = accuracy(bench.score(bench.checkpoint, "questions", f"{TASKS}/likelihood.yaml"))
    head, took = bench.tune("options", "questions", tokenizer, ["task=multiple_choice"], [])
    after = accuracy(bench.score(head, "questions", f"{TASKS}/biomedlm.yaml"))
    better = after[0] - before[0] > 2 * math.hypot(before[1], after[1])
    print(f"options  pretrained, by likelihood {said(before)}; fine-tuned head {said(after)}; {took:.0f} s", flush=True)

    head, took = bench.tune("claims", "claims", tokenizer, ["task=classification"], ["max_duration=6ep"])
    results = bench.score(head, "claims", f"{TASKS}/biomedlm.yaml")
    truth = accuracy(results)
    majority = 0.5  # as many claims are true as false
    print(f"claims   majority {majority:.1%}; fine-tuned head {said(truth)}; {took:.0f} s", flush=True)

    thought = ["task=sft", "prompt.chain_of_thought=true", "sequence_length=128"]
    longer = ["global_batch=8", "parallel.micro_batch=4", "max_duration=12ep", "optimizer.lr=1e-3"]
    chat, took = bench.tune("conversations", "questions", chatting, thought, longer)
    results = bench.score(chat, "questions", asking(bench.out), "chat=true", "max_gen_toks=32", "max_unparsed=1")
    parsed, right = 1 - results["unparsed_rate"], accuracy(results)
    print(f"chats    {parsed:.1%} of the answers can be read; right {said(right)}; {took:.0f} s", flush=True)
    sys.exit(not (better and truth[0] - majority > 2 * truth[1] and parsed >= 0.95))


def said(score: Score) -> str:
    return f"{score[0]:.1%} ± {score[1]:.1%}"


if __name__ == "__main__":
    main()
