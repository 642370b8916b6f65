"""Speed and memory of the look for benchmark questions in training shards.

    python benchmarks/contamination.py SAMPLE.jsonl.zst BENCHMARK [BENCHMARK ...] [--megabytes 120] [--workers 1 2]

SAMPLE: text in The Pile's form. BENCHMARK: folders that prepare_benchmark wrote, or files of MedQA's form;
their questions are looked for together. Makes so many megabytes of text of the sample's sentences, drawn
anew for every document, converts them with a tokenizer of 28,896 tokens, and prints for every number of
workers seconds, tokens and megabytes of text a second and a second of a core, start-up included, and the
largest process. The shares must be those of the documents' own texts, without shards; exits 1 otherwise.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from conversion import make_text, measure, recipe

from medlm_recipes.corpus.cleaning.benchmark_index import build_index
from medlm_recipes.corpus.cleaning.benchmarks import BenchmarkItem
from medlm_recipes.corpus.cleaning.decontamination import overlap_of
from medlm_recipes.corpus.document import read_documents
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.manifest import read_manifest

SOURCE = "pubmed-abstracts"

FIND = """
import json, sys
from medlm_recipes.evaluation.contamination import find_contaminated
questions, shards, workers, out = sys.argv[1:]
with open(questions) as stream:
    find_contaminated(json.load(stream), shards, workers=int(workers), out=out)
"""


def make_shards(sample: Path, megabytes: int, shard_bytes: int, folder: Path) -> None:
    make_text(sample, folder / "text.jsonl", megabytes)
    size = f"shard_bytes={shard_bytes}"
    documents, tokenizer = f"documents={folder}/documents", f"tokenizer={folder}/tokenizer"
    for command in (
        recipe("prepare_corpus", "corpus/pile", f"inputs={folder}/text.jsonl", f"out={folder}/documents"),
        recipe("train_tokenizer", "tokenizer/biomedlm", documents, f"out={folder}/tokenizer"),
        recipe(
            "convert_text_to_mds",
            "shards/biomedlm",
            documents,
            tokenizer,
            f"out={folder}/shards",
            "sources=[]",
            size,
        ),
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def of_texts(questions: list[dict], documents: Path) -> dict[str, float | None]:
    """Shares from the documents' own texts."""
    items = [BenchmarkItem("b", one["id"], (one["question"], *one["options"].values())) for one in questions]
    index = build_index(items, 8)
    seen = np.zeros(len(index.runs), np.bool_)
    for document in read_documents(documents, "train", SOURCE):
        seen[overlap_of(document.text, index, 8).runs] = True
    covered = zip(index.items, index.asked, index.covered(seen), strict=True)
    return {item: float(share) if runs else None for (_, item), runs, share in covered}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path)
    parser.add_argument("benchmarks", nargs="+")
    parser.add_argument("--megabytes", type=int, default=120)
    parser.add_argument("--shard-bytes", type=int, default=1 << 22, help="a shard is one worker's task")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    questions = [
        one | {"id": f"{number}/{one['id']}"}
        for number, path in enumerate(given.benchmarks)
        for one in read_benchmark(path)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "questions.json").write_text(json.dumps(questions))
        make_shards(given.sample, given.megabytes, given.shard_bytes, folder)
        counts = read_manifest(folder / "shards", "convert_text_to_mds").facts["splits"]["train"][SOURCE]
        tokens, size = counts["tokens"], counts["bytes"]
        print(f"{len(questions):,} questions, {tokens:,} tokens, {size:,} bytes of text")
        for workers in given.workers:
            out = folder / f"found-{workers}"
            command = [
                sys.executable,
                "-c",
                FIND,
                *map(str, (folder / "questions.json", folder / "shards", workers, out)),
            ]
            took = measure(command, folder / "caches")
            print(
                f"{workers} workers: {took.seconds:.1f} s, {tokens / took.seconds / 1e6:.2f}M tokens/s; a second of a "
                f"core {tokens / took.cpu_seconds / 1e6:.2f}M tokens, {size / took.cpu_seconds / 1e6:.1f} MB; largest "
                f"process {took.peak_bytes >> 20} MiB"
            )
        share = json.loads((out / "contamination.json").read_bytes())["share"]
        print(f"{counts['tokens_left_over']} tokens after the last row are in no shard")
        same = share == of_texts(questions, folder / "documents")
        print("shares are those of the texts" if same else "shares DIFFER from those of the texts")
        sys.exit(not same)


if __name__ == "__main__":
    main()
