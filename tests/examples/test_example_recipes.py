"""The shipped recipes of examples: each converts its form of input, and conversations are those that evaluate asks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from launch import ROOT
from streaming import StreamingDataset

from medlm_recipes.config.examples import ExamplesConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.evaluation.prompts import Prompter
from medlm_recipes.evaluation.task import read_task
from medlm_recipes.examples.conversion import convert_examples_to_mds
from medlm_recipes.tokenization.chatml import END, START
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.tokenization.training import train_tokenizer

OPTIONS = {"A": "aspirin", "B": "insulin", "C": "heparin", "D": "lisinopril"}
WHY = {"explanation": "It blocks an enzyme."}
CHOICE = {"id": "1", "question": "The drug for pain is", "options": OPTIONS, "answer_idx": "A", **WHY}
LABELS = {"A": "yes", "B": "no", "C": "maybe"}
LABELLED = {"id": "1", "question": "Does it help?", "context": "It did.", "options": LABELS, "answer_idx": "B", **WHY}
RECIPES = {
    "medqa": CHOICE,
    "pubmedqa": LABELLED,
    "bioasq": LABELLED | {"options": {"A": "yes", "B": "no"}},
    "meqsum": None,
    "medmcqa-chat": CHOICE,
    "medqa-chat": CHOICE,
    "pubmedqa-chat": LABELLED,
    "medmcqa-cot": CHOICE,
    "medqa-cot": CHOICE,
    "pubmedqa-cot": LABELLED,
}
CONVERSATIONS = {
    f"{name}-{form}": f"meditron_{task}_{name}"
    for form, task in (("chat", "topk"), ("cot", "cot"))
    for name in ("medmcqa", "medqa", "pubmedqa")
}


@pytest.fixture(scope="module")
def tokenizer(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer") / "out"
    train_tokenizer(TokenizerConfig(out=str(out), base=str(line / "tokenizer"), special_tokens=[START, END]), False)
    return out


def convert(name: str, tokenizer: Path, place: Path) -> list[dict[str, Any]]:
    """The train rows that a recipe makes of one example."""
    source, other = place / "source", place / "other.jsonl"
    source.mkdir()
    record = RECIPES[name]
    if record is None:
        (source / "train.source").write_text("A long question about pain\n")
        (source / "train.target").write_text("pain\n")
    else:
        (source / "train.jsonl").write_text(json.dumps(record))
    other.write_text(json.dumps({"question": "Something else?"}))
    given = [f"inputs=[{source}]", f"tokenizer={tokenizer}", f"out={place / 'out'}", f"decontaminate.against=[{other}]"]
    config = load_config(ExamplesConfig, ROOT / f"yamls/examples/{name}.yaml", given)
    convert_examples_to_mds(config, dry_run=False)
    stream = StreamingDataset(local=str(place / "out/train/source"), batch_size=1, shuffle=False)
    return [stream[at] for at in range(stream.size)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_converts_its_form(name: str, tokenizer: Path, tmp_path: Path) -> None:
    (row,) = convert(name, tokenizer, tmp_path)
    length = {"medqa": 512, "pubmedqa": 1024, "bioasq": 1024, "meqsum": 1024}.get(name, 2048)
    assert row["tokens"].shape[-1] == length and len(row["tokens"].shape) == (2 if name == "medqa" else 1)


def conversation(row: dict[str, Any], tokenizer: Path) -> tuple[str, str]:
    """What is read and what is learnt of a row's one conversation."""
    there = np.flatnonzero(row["begins"])[1]
    texts = [row["tokens"][:there][row["loss"][:there] == flag] for flag in (0, 1)]
    before, after = (load_tokenizer(tokenizer).decode(ids) for ids in texts)
    return before, after


def asked(task: str, record: dict[str, Any], tokenizer: Path) -> str:
    """What evaluate's task puts to a model with chat=true, to the point where the model goes on."""
    loaded = load_tokenizer(tokenizer)

    def template(chat: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return loaded.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)

    subject = SimpleNamespace(
        tokenizer=loaded,
        apply_chat_template=template,
        max_length=10_000,
        token_count=lambda text: len(loaded(text)["input_ids"]),
        is_too_long=lambda *pair: False,
    )
    question = {"context": "", "subject": "", "explanation": "", "answer": ""} | record
    task_file = read_task(str(ROOT / f"yamls/evaluate/tasks/{task}.yaml"))
    (prompt,) = Prompter(task_file, [question], subject, True, 64).prompts([], 1234, range(1))
    return prompt.context


@pytest.mark.parametrize(("name", "task"), CONVERSATIONS.items())
def test_conversations_are_those_that_evaluate_asks_in_a_chat(
    name: str, task: str, tokenizer: Path, tmp_path: Path
) -> None:
    record = RECIPES[name]
    assert record
    before, after = conversation(convert(name, tokenizer, tmp_path)[0], tokenizer)
    start = f"{START}answer\n"
    assert before + start == asked(task, dict(record), tokenizer)
    answer = "no" if name.startswith("pubmedqa") else "A"
    said = f"It blocks an enzyme.\nThe answer is: {answer}" if name.endswith("cot") else answer
    assert after == f"{start}{said}{END}\n"
