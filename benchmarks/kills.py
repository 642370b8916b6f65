"""Kill a stage at random moments, run it again, and compare every byte with a run that nobody touched.

    python benchmarks/kills.py KILLS [SEED] [--verb VERB] [--inputs FOLDER] [--format FORMAT] [--citations N]
        [--also KEY=VALUE ...]

Makes a closed world of N citations (or takes FOLDER), runs the verb once untouched, then KILLS times:
starts it, sends SIGKILL to its whole process group at a random moment between its start and its end,
and at once starts it again, on another number of workers, until it is done. Prints a line a kill; exits
1 when an output differs in any file, name or byte, or anything stands under its name before it is whole.
"""

import argparse
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(verb: str, *arguments: str) -> list[str]:
    return [sys.executable, f"recipes/{verb}.py", *arguments]


def prepare(line: Path, out: Path, form: str = "pubmed_xml") -> list[str]:
    return command("prepare_corpus", f"yamls/corpus/{form}.yaml", f"inputs={line}/inputs", f"out={out}")


def convert(line: Path, out: Path) -> list[str]:
    given = [f"documents={line}/documents", f"tokenizer={line}/tokenizer", f"out={out}", "shard_bytes=65536"]
    return command("convert_text_to_mds", "yamls/quickstart/shards.yaml", *given)


def run(words: list[str]) -> None:
    subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def make_line(line: Path, asked: argparse.Namespace) -> None:
    """What the verb reads: raw files under inputs/, for convert documents/ and tokenizer/ too."""
    if asked.inputs:
        (line / "inputs").symlink_to(asked.inputs.resolve())
    else:
        size = [f"abstracts={asked.citations}", f"citations_per_file={max(asked.citations // 8, 100)}"]
        run(command("generate_closed_world", "yamls/quickstart/world.yaml", f"out={line}/world", *size))
        (line / "inputs").symlink_to(line / "world/pubmed")
    if asked.verb == "convert_text_to_mds":
        run(prepare(line, line / "documents", asked.format))
        tokenizer = [f"documents={line}/documents", f"out={line}/tokenizer", "vocab_size=800"]
        run(command("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *tokenizer))


def differences(one: Path, other: Path) -> list[str]:
    """Names that only one folder has and files whose bytes differ."""
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*")} for folder in (one, other)]
    found = sorted(names[0] ^ names[1])
    files = [name for name in sorted(names[0] & names[1]) if (one / name).is_file()]
    return found + [name for name in files if not filecmp.cmp(one / name, other / name, shallow=False)]


def kill(words: list[str], after: float, out: Path, log: Path) -> float:
    """Start the verb and kill it after so many seconds, or sooner when it is done by then; when it was killed."""
    while True:
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                words, cwd=ROOT, env=ENVIRONMENT, stdout=stream, stderr=stream, start_new_session=True
            )
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return after
        assert process.returncode == 0, log.read_text()
        shutil.rmtree(out)
        after *= 0.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--verb", default="prepare_corpus", choices=("prepare_corpus", "convert_text_to_mds"))
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--format", default="pubmed_xml")
    parser.add_argument("--citations", type=int, default=16_000)
    parser.add_argument("--also", nargs="*", default=[], help="overrides of prepare_corpus's recipe")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder)
        make_line(line, asked)

        def launch(out: Path) -> list[str]:
            if asked.verb == "convert_text_to_mds":
                return convert(line, out)
            return [*prepare(line, out, asked.format), *asked.also, f"execution.workers={chance.choice((1, 2, 3))}"]

        start = time.monotonic()
        run(launch(line / "untouched"))
        length = time.monotonic() - start
        for number in range(1, asked.kills + 1):
            out, partial, log = line / "out", line / "out.partial", line / "log"
            after = kill(launch(out), chance.uniform(0.1, 1.0) * length, out, log)
            early = out.exists() and bool(differences(line / "untouched", out))
            tasks = {phase.name: len(list(phase.glob("completions/*"))) for phase in partial.glob(".tasks/*")}
            with open(log, "ab") as stream:
                code = subprocess.call(launch(out), cwd=ROOT, env=ENVIRONMENT, stdout=stream, stderr=stream)
            found = differences(line / "untouched", out) if code == 0 else ["no output"]
            found += ["stood before it was whole"] * early + ["a partial folder is left"] * partial.exists()
            wrong += bool(found)
            print(f"{number:3} killed at {after:5.2f} s, tasks finished {tasks or 'none'}; again: {code}, "
                  f"{'DIFFERENT: ' + ', '.join(found[:5]) if found else 'identical'}", flush=True)  # fmt: skip
            if found:
                print(log.read_text())
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
    print(f"{asked.kills - wrong} of {asked.kills} ended byte-identical to the untouched run ({length:.1f} s)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
