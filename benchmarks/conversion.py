"""Text to MDS shards: this package beside llm-foundry 0.22.0's JSON conversion, on the same text and two cores.

    python benchmarks/conversion.py SAMPLE.jsonl.zst [--megabytes 250] [--rounds 2] [--peer build/llm-foundry]

Makes so many megabytes of text of the sample's sentences, shuffled anew for every document, as one JSON
lines file; prepares documents and a tokenizer of BioMedLM's size from it. Then, in turn, each round:
convert_text_to_mds with two workers, llm-foundry's convert_dataset_json, convert_text_to_mds with one
worker; each a process of its own, start-up included, on the machine's first two cores, all writing rows of
1024 tokens in zstd shards. Compares the two packages' rows one by one, and prints seconds, CPU seconds,
tokens/s and the largest process of each (the fastest of their rounds, as the least disturbed) and the
ratios; the time from the raw JSON lines, with prepare_corpus, stands apart. Exits 1 when a row differs.

llm-foundry is installed into the folder PEER (a virtual environment of its own, 7 GB) unless it is there.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import psutil
from llm_foundry import python_with_llm_foundry
from streaming import StreamingDataset

from medlm_recipes.corpus.compressed import read_lines
from medlm_recipes.manifest import read_manifest

ROOT = Path(__file__).parents[1]
CORES = sorted(os.sched_getaffinity(0))[:2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}  # nothing is fetched
VOCABULARY = 28_896
LOOK_SECONDS = 0.05

PEER = """
import sys
from llmfoundry.command_utils.data_prep.convert_dataset_json import convert_dataset_json_from_args
path, out, tokenizer, eos = sys.argv[1:]
convert_dataset_json_from_args(
    path=path, out_root=out, compression="zstd", concat_tokens=1024, split="train", tokenizer=tokenizer, eos_text=eos
)
"""


@dataclass
class Measured:
    """Seconds from start to end, CPU seconds of all processes, and the largest resident set of any of them."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def make_text(sample: Path, out: Path, megabytes: int) -> None:
    """Documents of 5 to 15 sentences, each drawn anew from all of the sample's."""
    texts = [orjson.loads(line)["text"] for _, line in read_lines(sample)]
    sentences = [sentence for text in texts for sentence in text.split(". ")]
    chance = random.Random(0)
    left = megabytes * 1_000_000
    with open(out, "wb") as stream:
        while left > 0:
            text = ". ".join(chance.choices(sentences, k=chance.randint(5, 15)))
            left -= len(text.encode())
            stream.write(orjson.dumps({"text": text, "meta": {"pile_set_name": "PubMed Abstracts"}}) + b"\n")


def recipe(verb: str, name: str, *given: str) -> list[str]:
    return [sys.executable, f"recipes/{verb}.py", f"yamls/{name}.yaml", *given]


def measure(command: list[str], caches: Path) -> Measured:
    """Run it, with nothing in the caches of llm-foundry's libraries."""
    shutil.rmtree(caches, ignore_errors=True)
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT | {"HF_HOME": str(caches)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, CORES),
    )
    peak = [0]
    threading.Thread(target=watch, args=(process.pid, peak), daemon=True).start()
    told = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(command)}\n{told[-5000:]}"
    return Measured(time.monotonic() - begun, usage.ru_utime + usage.ru_stime, peak[0])


def watch(process: int, peak: list[int]) -> None:
    """Keep the largest resident set of the process and of those that it starts, shared pages included."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(process)
        while True:
            for one in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    peak[0] = max(peak[0], one.memory_info().rss)
            time.sleep(LOOK_SECONDS)


def differing_rows(ours: Path, peers: Path) -> str:
    """How many rows differ, or that none does; what is left at the end may be cut otherwise."""
    one, other = (StreamingDataset(local=str(folder), batch_size=1) for folder in (ours, peers))
    rows = min(one.num_samples, other.num_samples)
    different = sum(not np.array_equal(one[at]["tokens"], other[at]["tokens"]) for at in range(rows))
    if abs(one.num_samples - other.num_samples) > 1 or different:
        return f"{different:,} of {rows:,} rows DIFFER; {one.num_samples:,} and {other.num_samples:,} rows"
    return ""


def prepare(line: Path, sample: Path, megabytes: int) -> Measured:
    """raw.jsonl, documents/ and tokenizer/ below `line`; what prepare_corpus took for the documents."""
    make_text(sample, line / "raw.jsonl", megabytes)
    measured = []
    for inputs, out in ((line / "raw.jsonl", line / "documents"), (sample, line / "sample")):
        given = [f"inputs={inputs}", f"out={out}", "validation_fraction=0"]
        measured.append(measure(recipe("prepare_corpus", "corpus/pile", *given), line / "caches"))
    # Every pair of so small a sample counts, for the vocabulary to be full.
    given = [f"documents={line}/sample", f"out={line}/tokenizer", "min_frequency=1", f"vocab_size={VOCABULARY}"]
    measure(recipe("train_tokenizer", "tokenizer/biomedlm", *given), line / "caches")
    return measured[0]


def convert(line: Path, workers: int) -> list[str]:
    given = [f"documents={line}/documents", f"tokenizer={line}/tokenizer", f"out={line}/ours", "sources=[]"]
    return recipe("convert_text_to_mds", "shards/biomedlm", *given, f"execution.workers={workers}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", type=Path, default=ROOT / "build/llm-foundry")
    asked = parser.parse_args()
    python = python_with_llm_foundry(asked.peer.absolute())
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder)
        prepared = prepare(line, asked.sample.absolute(), asked.megabytes)
        peer = [str(python), "-c", PEER, f"{line}/raw.jsonl", f"{line}/peers", f"{line}/tokenizer", "<|endoftext|>"]
        ways = {"two workers": convert(line, 2), "llm-foundry": peer, "one worker": convert(line, 1)}
        results: dict[str, list[Measured]] = {way: [] for way in ways}
        different = ""
        for number in range(1, asked.rounds + 1):
            for way, command in ways.items():
                shutil.rmtree(line / ("peers" if command is peer else "ours"), ignore_errors=True)
                results[way].append(measure(command, line / "caches"))
                print(f"round {number}: {way}: {results[way][-1]}", flush=True)
            different = different or differing_rows(line / "ours/train/pubmed-abstracts", line / "peers")
        facts = read_manifest(line / "ours", "convert_text_to_mds").facts["splits"]["train"]["pubmed-abstracts"]
    report(facts, prepared, results)
    print(different or "the rows of both packages are equal")
    return 1 if different else 0


def report(facts: dict[str, int], prepared: Measured, results: dict[str, list[Measured]]) -> None:
    tokens = facts["tokens"]
    print(f"\n{facts['bytes']:,} bytes of text, {facts['documents']:,} documents, {tokens:,} tokens; "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    seconds = {way: min(one.seconds for one in measured) for way, measured in results.items()}
    cpu = {way: min(one.cpu_seconds for one in measured) for way, measured in results.items()}
    for way, measured in results.items():
        peak = max(one.peak_bytes for one in measured)
        print(f"{way:12} {seconds[way]:7.1f} s, {cpu[way]:7.1f} CPU s, {tokens / seconds[way] / 1e6:6.2f}M tokens/s, "
              f"{tokens / cpu[way] / 1e6:5.2f}M a CPU s, largest process {peak / 2**20:,.0f} MiB")  # fmt: skip
    print(f"two workers over llm-foundry {seconds['llm-foundry'] / seconds['two workers']:.1f} x, "
          f"two workers over one {seconds['one worker'] / seconds['two workers']:.2f} x")  # fmt: skip
    whole = prepared.seconds + seconds["two workers"]
    print(f"from the raw JSON lines: prepare_corpus {prepared.seconds:.1f} s more, together "
          f"{tokens / whole / 1e6:.2f}M tokens/s, {seconds['llm-foundry'] / whole:.1f} x")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
