"""The verb score_summaries: summaries that a fine-tuned checkpoint writes, by ROUGE against those of people.

ROUGE is Lin 2004 (aclanthology.org/W04-1013) in Google's implementation, rouge-score, with Porter's stemmer.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.summaries import SummariesConfig
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.errors import DataError
from medlm_recipes.examples.files import companions
from medlm_recipes.examples.layout import Ids, Layout, layout_of
from medlm_recipes.examples.reading import read_examples
from medlm_recipes.examples.records import Pair
from medlm_recipes.manifest import Manifest, decisive, hash_file, hash_json, publish, write_json
from medlm_recipes.progress import track
from medlm_recipes.tokenization.loading import load_tokenizer
from medlm_recipes.training.checkpoints import load_model
from medlm_recipes.training.run_folder import read_checkpoint, tokenizer_of

MEASURES = ("rouge1", "rouge2", "rougeL")


def score_summaries(config: SummariesConfig, dry_run: bool) -> None:
    """Summarise the sources of `config.pairs`; publish results.json (scores, standard errors) and samples.jsonl.

    Raises DataError for an unfit checkpoint or unfit pairs.
    """
    checkpoint = read_checkpoint(config.checkpoint)
    form = checkpoint.facts.get("form")
    if form is None or form["converses"]:
        raise DataError(f"{config.checkpoint}: was not fine-tuned on pairs; give a checkpoint of task sft on pairs")
    file = InputFile(Path(config.pairs), Path(config.pairs).name)
    files = list(companions(file))
    pairs = [pair for pair in read_examples(file, "pairs", ()) if isinstance(pair, Pair)][: config.limit]
    if not pairs:
        raise DataError(f"{config.pairs}: holds no pair of a source and a target")
    print(f"{config.checkpoint} on {len(pairs):,} sources of {config.pairs}", flush=True)
    if dry_run:
        return
    manifest = Manifest(
        stage="score_summaries",
        config=decisive(resolved(config), leave_out=("checkpoint", "pairs", "out", "batch_size")),
        inputs={one.name: hash_file(one.path) for one in files} | {"checkpoint": hash_json(checkpoint.__dict__)},
    )
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        samples = list(_samples(config, pairs, layout_of(checkpoint.facts, tokenizer_of(config.checkpoint))))
        results = _results(samples) | {"settings": manifest.config, "hashes": manifest.inputs}
        write_json(folder / "results.json", results | {"tokens": checkpoint.facts["tokens"]})
        lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
        (folder / "samples.jsonl").write_text("".join(lines))
    for name, score in results["scores"].items():
        print(f"  {name} {score['value']:.4f} ± {score['standard_error']:.4f}  (n {results['n']})")
    print(f"  {results['unfinished']} summaries without an end, {results['cut']} sources cut on the left")
    print(f"{config.out}: done")


def _samples(config: SummariesConfig, pairs: Sequence[Pair], layout: Layout) -> Iterator[dict[str, Any]]:
    """A record a pair, in their order."""
    from rouge_score.rouge_scorer import RougeScorer

    model = load_model(config.checkpoint)
    if torch.cuda.is_available():
        model = model.cuda()
    tokenizer = load_tokenizer(tokenizer_of(config.checkpoint))
    scorer = RougeScorer(list(MEASURES), use_stemmer=True)
    room = model.config.max_position_embeddings - config.max_new_tokens
    if room < 1:
        raise DataError(
            f"max_new_tokens: {config.max_new_tokens} leaves no room for a source in the model's context of "
            f"{model.config.max_position_embeddings} tokens; lower it"
        )
    prompts = [layout.prompt_of(pair) for pair in pairs]
    starts = range(0, len(pairs), config.batch_size)
    for start in track(starts, "summarising", "batch", len(starts)):
        batch = slice(start, start + config.batch_size)
        written = _generate(model, [ids[-room:] for ids in prompts[batch]], layout.backend.end_of_text, config)
        for pair, prompt, ids in zip(pairs[batch], prompts[batch], written, strict=True):
            ended = layout.backend.end_of_text in ids
            summary = tokenizer.decode(ids[: ids.index(layout.backend.end_of_text)] if ended else ids).strip()
            scores = scorer.score(pair.target, summary)
            yield {
                "id": pair.id,
                "source": pair.source,
                "target": pair.target,
                "summary": summary,
                "is_finished": ended,
                "cut": max(0, len(prompt) - room),
                **{name: scores[name].fmeasure for name in MEASURES},
            }


def _generate(model: Any, prompts: Sequence[Ids], end_of_text: int, config: SummariesConfig) -> list[list[int]]:
    """The ids that follow each prompt, up to an end of text and what fills the batch behind it."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), end_of_text, device=model.device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):  # on the right, so that all go on from the same place
        ids[row, longest - len(prompt) :] = torch.from_numpy(prompt).to(ids)
        mask[row, longest - len(prompt) :] = 1
    with torch.no_grad():
        written = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=config.max_new_tokens,
            do_sample=False,
            num_beams=config.beams,
            no_repeat_ngram_size=config.no_repeat_ngram,
            eos_token_id=end_of_text,
            pad_token_id=end_of_text,
            use_cache=True,
        )
    return written[:, longest:].tolist()


def _results(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """F-measures: means, and their standard errors over the summaries."""

    def score(name: str) -> dict[str, float]:
        values = [sample[name] for sample in samples]
        return {"value": mean(values), "standard_error": stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0}

    return {
        "n": len(samples),
        "scores": {name: score(name) for name in MEASURES},
        "unfinished": sum(not sample["is_finished"] for sample in samples),
        "cut": sum(sample["cut"] > 0 for sample in samples),
    }
