"""Models of a few thousand weights over a tokenizer of their own, as Hugging Face folders, and benchmarks for them."""

from pathlib import Path
from typing import Any

import torch
from evaluation.originals_made import MEDQA, PUBMEDQA, lines, prepare
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast

from medlm_recipes.evaluation.task import read_task

END = "<|endoftext|>"
ORGANS = ("heart", "liver", "kidney", "spleen", "lung", "brain", "skin", "bone", "colon", "thyroid", "retina", "ovary")
DRUGS = ("Aspirin", "Heparin", "Warfarin", "Insulin", "Digoxin", "Codeine")


def medqa(folder: Path, long_question: bool = False) -> Path:
    """A prepared benchmark of 12 test questions, 4 options each, and 6 to show."""

    def questions(stem: str, organs: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            MEDQA
            | {
                "question": stem.format(organ),
                "options": dict(zip("ABCD", [*DRUGS[at % 3 :], *DRUGS][:4], strict=True)),
                "answer_idx": "ABCD"[at % 4],
                "answer": [*DRUGS[at % 3 :], *DRUGS][at % 4],
                "meta_info": f"step{at % 2 + 1}",
            }
            for at, organ in enumerate(organs)
        ]

    test = questions("A man has pain of the {}. Which drug helps?", ORGANS)
    if long_question:
        test[7]["question"] = "A man has pain. " * 200 + "Which drug helps?"
    for split, records in (
        ("train", questions("A woman has a stone of the {}. Which drug is given first", ORGANS[:6])),
        ("dev", questions("Which drug is kept in the {}?", ORGANS[:1])),
        ("test", test),
    ):
        lines(folder / "in" / f"phrases_no_exclude_{split}.jsonl", *records)
    prepare("medqa", folder / "in", folder / "medqa")
    return folder / "medqa"


def pubmedqa(folder: Path) -> Path:
    """A prepared benchmark of 6 questions with context, answered yes, no or maybe; none to show."""
    import json

    (folder / "pub").mkdir(parents=True)
    records = {
        str(at): PUBMEDQA | {"QUESTION": f"Does the {organ} die?", "final_decision": ("yes", "no", "maybe")[at % 3]}
        for at, organ in enumerate(ORGANS[:6])
    }
    (folder / "pub/ori_pqal.json").write_text(json.dumps(records))
    truth = {name: record["final_decision"] for name, record in records.items()}
    (folder / "pub/test_ground_truth.json").write_text(json.dumps(truth))
    prepare("pubmedqa", folder / "pub", folder / "pubmedqa", "files.train=[]", "validation_from_train=0")
    return folder / "pubmedqa"


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE that knows the instructions and the questions well, so that prompts are short."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    task = read_task("yamls/evaluate/tasks/meditron_topk_medqa.yaml")
    texts = [
        task["description"],
        *ORGANS,
        *DRUGS,
        "A man has pain of the. Which drug helps? Question Options The answer is",
    ]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model.train_from_iterator(
        texts * 4, trainers.BpeTrainer(vocab_size=700, special_tokens=[END], initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=model, eos_token=END)


def save_model(folder: Path, positions: int = 1024, chat_template: str | None = None) -> Path:
    """A random GPT-2."""
    torch.manual_seed(5)
    own = tokenizer()
    own.chat_template = chat_template
    GPT2LMHeadModel(_config(own, positions)).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def save_speaker(folder: Path, prompts: list[str], text: str) -> Path:
    """A GPT-2 that was trained until it writes `text` after any of the prompts."""
    torch.manual_seed(5)
    own = tokenizer()
    model = GPT2LMHeadModel(_config(own, 1024))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    reply = own.encode(text + END)
    for step in range(60):
        prompt = own.encode(prompts[step % len(prompts)])
        ids = torch.tensor([[*prompt, *reply]])
        labels = torch.tensor([[-100] * len(prompt) + reply])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def save_head(folder: Path, labels: list[str]) -> Path:
    """A random GPT-2 with a head: of one output where there is one label."""
    torch.manual_seed(5)
    own = tokenizer()
    config = _config(own, 1024)
    config.pad_token_id = own.eos_token_id
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: at for at, label in enumerate(labels)}
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def _config(own: PreTrainedTokenizerFast, positions: int) -> GPT2Config:
    end = own.eos_token_id
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": positions}
    return GPT2Config(vocab_size=len(own), bos_token_id=end, eos_token_id=end, initializer_range=0.3, **sizes)
