"""Kill training runs at random moments, start them again, and compare with a run that nobody touched.

    python benchmarks/resume.py KILLS TERMS [SEED]

Makes a tiny closed world, trains it once on two CPU ranks, then for each of KILLS runs sends SIGKILL to
the whole launch (for each of TERMS: SIGTERM to the launcher) at a random moment between its start and
its end, starts it again until it is done, and compares every row of metrics.jsonl. Prints a line a run
and a summary; exits 1 when a run ends otherwise than the untouched one.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
STEPS = 60


def stage(verb: str, *arguments: str) -> None:
    subprocess.run([sys.executable, f"recipes/{verb}.py", *arguments], cwd=ROOT, env=ENVIRONMENT, check=True)


def make_line(out: Path) -> None:
    quick = "yamls/quickstart"
    stage(
        "generate_closed_world", f"{quick}/world.yaml", f"out={out}/world", "drugs=12", "diseases=6", "abstracts=2_000"
    )
    stage("prepare_corpus", f"{quick}/corpus.yaml", f"inputs={out}/world/pubmed", f"out={out}/documents")
    stage(
        "train_tokenizer",
        f"{quick}/tokenizer.yaml",
        f"documents={out}/documents",
        f"out={out}/tokenizer",
        "vocab_size=800",
    )
    shards = [f"documents={out}/documents", f"tokenizer={out}/tokenizer", f"out={out}/shards"]
    stage("convert_text_to_mds", f"{quick}/shards.yaml", *shards)


def launch(out: Path, run: Path, log: Path) -> subprocess.Popen[bytes]:
    step = 16 * 128
    arguments = [
        "yamls/quickstart/train.yaml",
        *(
            f"{name}={value}"
            for name, value in (("run", run), ("shards", out / "shards"), ("tokenizer", out / "tokenizer"))
        ),
        "model.n_layer=2",
        "model.dropout=0.1",
        f"max_duration={STEPS * step}tok",
        f"checkpoint_interval={7 * step}tok",
        "budgets=[]",
        "scheduler.warmup=10_000tok",
        "log_interval=1",
    ]
    command = [sys.executable, "-m", "composer.cli", "-n", "2", "recipes/train.py", *arguments]
    with open(log, "ab") as stream:
        return subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )


def interrupt(process: subprocess.Popen[bytes], how: signal.Signals, after: float) -> str:
    """Send the signal after so many seconds; what became of the launch."""
    try:
        return f"had ended with {process.wait(after)}"
    except subprocess.TimeoutExpired:
        pass
    if how is signal.SIGKILL:
        os.killpg(process.pid, how)
        process.wait()
        return "killed"
    process.terminate()
    start = time.monotonic()
    code = process.wait()
    return f"left with {code} after {time.monotonic() - start:.1f} s"


def main() -> int:
    kills, terms, seed = (int(word) for word in [*sys.argv[1:3], *(sys.argv[3:] or ["0"])])
    chance = random.Random(seed)
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        make_line(out)
        start = time.monotonic()
        assert launch(out, out / "untouched", out / "log").wait() == 0, (out / "log").read_text()
        length = time.monotonic() - start
        expected = (out / "untouched/metrics.jsonl").read_text()
        for number, how in enumerate([signal.SIGKILL] * kills + [signal.SIGTERM] * terms):
            run, log = out / f"run{number}", out / f"log{number}"
            after = chance.uniform(0.3, 1.0) * length
            fate = interrupt(launch(out, run, log), how, after)
            rows = len((run / "metrics.jsonl").read_text().splitlines()) if (run / "metrics.jsonl").is_file() else 0
            code = launch(out, run, log).wait()
            same = code == 0 and (run / "metrics.jsonl").read_text() == expected
            different += not same
            print(f"{number + 1:3} {how.name} at {after:5.1f} s, row {rows}: {fate}; again: {code}, "
                  f"{'identical' if same else 'DIFFERENT'}", flush=True)  # fmt: skip
            if not same:
                print(log.read_text())
    print(f"{kills + terms - different} of {kills + terms} ended bit-identical to the untouched run ({length:.0f} s)")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
