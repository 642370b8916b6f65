"""Scoring beside lm-eval's own `hf` backend: the same model, prompts and process, one after the other.

    OMP_NUM_THREADS=2 python benchmarks/evaluation.py MEDQA TEXTS [QUESTIONS] [ROUNDS]

MEDQA: questions in MedQA's JSONL form. TEXTS: a .jsonl.zst file of records with `text`, on which a BPE of
at most 28,896 tokens (BioMedLM's vocabulary) is trained. The model is a GPT-2 of 6 layers, 384 wide, with
random weights, fp32. Of the first QUESTIONS (default 200) are asked: the letter of the answer behind 5 fixed
demonstrations (the last 5 questions of the file); the options' texts without any; and, of a tenth of them, 5
sampled answers of 32 tokens behind the demonstrations. ROUNDS times (default 1), who begins changing. Prints
seconds of the whole lm-eval run of each (prompts and tokenising included), by the clock and of processor
time, their ratios, and how far log-likelihoods, predictions and accuracies agree.
"""

import io
import json
import logging
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from backports import zstd
from datasets import Dataset
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from medlm_recipes.evaluation.language_model import SharedPrefixLM

VOCABULARY, LAYERS, HEADS, WIDTH, CONTEXT = 28_896, 6, 6, 384, 2048
BATCH, BATCH_TOKENS, SHOTS, SAMPLES, ANSWER = 8, 512, 5, 5, 32

LETTERED = {
    "doc_to_text": "Question: {{question}}\n{% for letter, text in options.items() %}({{letter}}) {{text}}\n"
    "{% endfor %}Answer:",
    "doc_to_choice": "{{options.keys() | list}}",
    "doc_to_target": "{{(options.keys() | list).index(answer_idx)}}",
    "num_fewshot": SHOTS,
    "fewshot_split": "train",
    "fewshot_config": {"sampler": "first_n"},
    "output_type": "multiple_choice",
}
CASES: dict[str, dict[str, Any]] = {
    f"{SHOTS}-shot letters": LETTERED,
    "0-shot option texts": {
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{options.values() | list}}",
        "doc_to_target": "{{(options.keys() | list).index(answer_idx)}}",
        "output_type": "multiple_choice",
    },
    f"{SAMPLES} sampled answers": LETTERED
    | {
        "doc_to_choice": None,
        "doc_to_target": "{{answer_idx}}",
        "output_type": "generate_until",
        "repeats": SAMPLES,
        "generation_kwargs": {"do_sample": True, "temperature": 0.8, "max_gen_toks": ANSWER, "until": ["\n\n"]},
        "metric_list": [{"metric": "exact_match"}],
    },
}


def make_tokenizer(texts: Path) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    with zstd.open(texts, "rb") as stream:
        tokenizer.train_from_iterator((json.loads(line)["text"] for line in io.TextIOWrapper(stream)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", model_max_length=10**30)


def make_model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH, n_positions=CONTEXT, eos_token_id=0
    )
    return GPT2LMHeadModel(config).eval()


def run(backend: Any, case: dict[str, Any], questions: list[Any]) -> tuple[tuple[float, float], list[Any]]:
    """Seconds of the clock and of the processor, and the samples in order."""
    data = {"test": questions[:-SHOTS], "train": questions[-SHOTS:]}
    task = case | {
        "task": "medqa",
        "test_split": "test",
        "custom_dataset": lambda **_: {split: Dataset.from_list(rows) for split, rows in data.items()},
    }
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = simple_evaluate(
        model=backend, tasks=[task], task_manager=TaskManager(include_defaults=False), bootstrap_iters=0
    )
    seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    return seconds, sorted(found["samples"]["medqa"], key=lambda sample: sample["doc_id"])


def agreement(ours: list[Any], theirs: list[Any]) -> str:
    both = [[[answer[0] for answer in sample["filtered_resps"]] for sample in samples] for samples in (ours, theirs)]
    pairs = [pair for rows in zip(*both, strict=True) for pair in zip(*rows, strict=True)]
    best = [[row.index(max(row)) for row in rows] for rows in both]
    accuracy = [sum(sample["acc"] for sample in samples) / len(samples) for samples in (ours, theirs)]
    assert [one["prompt_hash"] for one in ours] == [one["prompt_hash"] for one in theirs]
    return (
        f"{len(pairs)} log-likelihoods within {max(abs(one - other) for one, other in pairs):.1e}, "
        f"{sum(map(int.__eq__, *best))} of {len(ours)} predictions alike, accuracy {accuracy[0]} and {accuracy[1]}"
    )


def main(medqa: str, texts: str, count: str = "200", rounds: str = "1") -> None:
    logging.disable(logging.WARNING)
    lines = Path(medqa).read_text().splitlines()
    questions = [json.loads(line) for line in [*lines[: int(count)], *lines[-SHOTS:]]]
    tokenizer, model = make_tokenizer(Path(texts)), make_model()
    backends = {
        "ours": SharedPrefixLM(model, tokenizer, BATCH_TOKENS, SAMPLES * BATCH),
        "lm-eval hf": HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH),
    }
    for name, case in CASES.items():
        sampled = case["output_type"] == "generate_until"
        some = [*questions[: max(int(count) // 10, 1)], *questions[-SHOTS:]] if sampled else questions
        times: dict[str, list[tuple[float, float]]] = {backend: [] for backend in backends}
        for number in range(int(rounds)):
            samples = {}
            for backend in list(backends) if number % 2 == 0 else reversed(backends):
                seconds, samples[backend] = run(backends[backend], case, some)
                times[backend].append(seconds)
                print(f"{name}: {backend}: {seconds[0]:.1f} s, {seconds[1]:.1f} s of processor time", flush=True)
            if not sampled:
                print(f"{name}: {agreement(samples['ours'], samples['lm-eval hf'])}", flush=True)
        ours, theirs = ([statistics.median(part) for part in zip(*taken, strict=True)] for taken in times.values())
        print(
            f"{name}: {len(some) - SHOTS} questions: {theirs[0] / ours[0]:.2f} x by the clock, "
            f"{theirs[1] / ours[1]:.2f} x of processor time",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
