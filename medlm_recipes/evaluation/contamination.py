"""Which questions of a benchmark stand in the training shards of a model.

A question is looked for by its runs of words, as prepare_corpus's decontamination looks for them in
documents: 8 words, of what is asked and of the options, each line and option by itself. A question is
contaminated when at least 80 % of its distinct runs stand anywhere in the training data. PaLM
(Chowdhery et al. 2022, section 8) counts 8-grams of question, prompt and target this way, from 70 % on; the
MediTron paper (B.5) compares by 8-grams too, with 80 %, and Llama 2 (Touvron et al. 2023, A.6) calls a
sample with 80 % of its tokens in matches dirty. The context is counted apart: an abstract that stands in
PubMed does not give the answer away, as PaLM says of reading comprehension.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.corpus.cleaning.benchmark_index import BenchmarkIndex, Flags, build_index, load_index
from medlm_recipes.corpus.cleaning.benchmarks import BenchmarkItem
from medlm_recipes.corpus.cleaning.words import hash_runs
from medlm_recipes.evaluation.row_texts import REACH, documents_of, load_decoder, stream_of
from medlm_recipes.execution.tasks import run_tasks
from medlm_recipes.manifest import Manifest, hash_json, publish, write_json
from medlm_recipes.partial import TASKS
from medlm_recipes.progress import track
from medlm_recipes.remote import RemoteFolder, is_remote, local_place
from medlm_recipes.shards.conversion import TOKENIZER_FOLDER, read_shards
from medlm_recipes.shards.mds import read_index, read_shard, shard_file
from medlm_recipes.tokenization.encoding import read_backend

FILE_NAME = "contamination.json"

_STAGE = "find_contaminated"
_TOKENIZER = "tokenizer.json"
_ASKED, _CONTEXT = "asked", "context"


@dataclass(frozen=True)
class Contamination:
    """share, context_share: of each item's distinct runs, by its id, those that stand in the shards; None when
    it is too short to have a run. threshold: of share, from which on an item is contaminated. words: in a run.
    rows: that were read. shards, questions: hashes of what was compared.
    """

    share: dict[str, float | None]
    context_share: dict[str, float | None]
    threshold: float
    words: int
    rows: int
    shards: str
    questions: str

    def contaminated(self) -> list[str]:
        """Ids of the items with a share of at least the threshold."""
        return [item for item, share in self.share.items() if share is not None and share >= self.threshold]

    def touched(self) -> list[str]:
        """Ids of the items of which any run stands there."""
        return [item for item, share in self.share.items() if share]

    def too_short(self) -> list[str]:
        """Ids of the items that have no run, of which nothing can be told."""
        return [item for item, share in self.share.items() if share is None]


@dataclass(frozen=True)
class ScanTask:
    """A shard and those after it in its stream, as entries of its index. place: the stream's folder or URL."""

    lookups: Path
    place: str
    entries: tuple[dict[str, Any], ...]
    is_first: bool
    end_of_text: int
    is_padded: bool
    words: int


def find_contaminated(
    questions: Sequence[dict[str, Any]],
    shards: str,
    tokenizer: str | Path | None = None,
    workers: int = 0,
    *,
    words: int = 8,
    threshold: float = 0.8,
    out: str | Path | None = None,
) -> Contamination:
    """Compare the questions (see `evaluation.benchmark`), whose ids differ, with all train streams of `shards`.

    tokenizer: that the shards must be of; None: whichever is kept with them. workers: processes of this
    machine; 0: one a core. out: a folder for the result; a scan that was cut short goes on from there, and
    a result that was made from the same is read. Memory: the questions' runs, and a shard or two a worker.
    Not for several ranks at once. Raises DataError for unfit shards or an `out` that holds something else.
    """
    made_from = read_shards(shards, tokenizer)
    runs = [[question["id"], question["question"], question["options"], question["context"]] for question in questions]
    assert len({question["id"] for question in questions}) == len(questions)
    settings = {"words": words, "threshold": threshold}
    inputs = {"shards": hash_json(made_from.__dict__), "questions": hash_json(runs)}
    with _folder(out, Manifest(_STAGE, settings, inputs)) as folder:
        if folder is None:
            assert out is not None
            return Contamination(**json.loads((Path(out) / FILE_NAME).read_bytes()))
        # Workers keep what they have read of a path: it is named by what it holds.
        lookups = folder / TASKS / f"lookups-{hash_json([settings, inputs])[:16]}"
        index, seen, rows = _scan(questions, shards, made_from, words, workers, lookups)
        shares = _shares(index, seen)
        found = Contamination(shares[_ASKED], shares[_CONTEXT], threshold, words, rows, **inputs)
        write_json(folder / FILE_NAME, asdict(found))
    return found


@contextmanager
def _folder(out: str | Path | None, manifest: Manifest) -> Iterator[Path | None]:
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    with publish(out, manifest, begun_from={"config": manifest.config, "inputs": manifest.inputs}) as published:
        yield published


def _scan(
    questions: Sequence[dict[str, Any]], shards: str, made_from: Manifest, words: int, workers: int, lookups: Path
) -> tuple[BenchmarkIndex, Flags, int]:
    """The index of the questions' runs, which of them stand in the shards, and how many rows were read."""
    index = build_index(list(_items(questions)), words)
    index.save(lookups)
    local = local_place(shards) if is_remote(shards) else Path(shards)
    (lookups / _TOKENIZER).write_text(read_backend(local / TOKENIZER_FOLDER).json)
    tasks = list(_tasks(shards, local, made_from, words, lookups))
    seen, rows = np.zeros(len(index.runs), np.bool_), 0
    scanned = run_tasks(scan_shard, tasks, ExecutionKeys(workers=workers), lookups.parents[1], "scan")
    for task, bits in zip(tasks, track(scanned, "looking for questions", "shard", len(tasks)), strict=True):
        seen |= np.unpackbits(np.frombuffer(bits, np.uint8), count=len(seen)).view(np.bool_)
        rows += task.entries[0]["samples"]
    return index, seen, rows


def _items(questions: Sequence[dict[str, Any]]) -> Iterator[BenchmarkItem]:
    for question in questions:
        yield BenchmarkItem(_ASKED, question["id"], (question["question"], *question["options"].values()))
        yield BenchmarkItem(_CONTEXT, question["id"], (question["context"],))


def _shares(index: BenchmarkIndex, seen: Flags) -> dict[str, dict[str, float | None]]:
    """Of what is asked and of the context, the share of every item; None where it has no run."""
    shares: dict[str, dict[str, float | None]] = {_ASKED: {}, _CONTEXT: {}}
    for (what, item), runs, share in zip(index.items, index.asked, index.covered(seen), strict=True):
        shares[what][item] = float(share) if runs else None
    return shares


def _tasks(shards: str, local: Path, made_from: Manifest, words: int, lookups: Path) -> Iterator[ScanTask]:
    facts = made_from.facts
    end_of_text, is_padded = int(facts["end_of_text"]), facts["packing"] == "pad"
    for source in facts["splits"]["train"]:
        entries = read_index(local / "train" / source)
        place = f"{shards.rstrip('/')}/train/{source}"
        for number in range(len(entries)):
            last = number + 1
            while last < len(entries) and _tokens(entries[number + 1 : last]) < REACH:
                last += 1
            yield ScanTask(lookups, place, tuple(entries[number:last]), number == 0, end_of_text, is_padded, words)


def _tokens(entries: Sequence[dict[str, Any]]) -> int:
    return sum(entry["samples"] * int(entry["column_encodings"][0].split(":")[2]) for entry in entries)


def scan_shard(task: ScanTask) -> bytes:
    """Which runs of the questions stand in the documents of the task's first shard, as packed bits."""
    index, decoder = load_index(task.lookups), load_decoder(task.lookups / _TOKENIZER)
    seen = np.zeros(len(index.runs), np.bool_)
    streams = (stream_of(_rows(task.place, entry), task.end_of_text, task.is_padded) for entry in task.entries)
    pieces = documents_of(next(streams), streams, task.end_of_text, task.is_first)
    for texts in decoder.texts(pieces):
        lines = [line for text in texts for line in text.split("\n")]  # as `overlap_of` a document's
        seen[index.find(hash_runs(lines, task.words))] = True
    return np.packbits(seen).tobytes()


def _rows(place: str, entry: dict[str, Any]) -> Any:
    """The rows of a shard; of a remote stream it is fetched, and not kept."""
    name = shard_file(entry)
    if not is_remote(place):
        return read_shard(Path(place) / name, entry)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        RemoteFolder(place).get(name, path)
        return read_shard(path, entry)
