"""Memory of an export: a checkpoint of a recipe's size, exported in a process of its own.

    python benchmarks/export.py [yamls/train/biomedlm-1.3b.yaml] [--dtype bfloat16]

Writes a sharded checkpoint of the recipe's model with random fp32 weights (its vocabulary 28,896, rows of
1,024 tokens) and exports it. Prints the largest resident set of the export beside the bytes of safetensors
that it wrote; the process takes 0.9 GB before it reads anything, which is printed apart. Exits 1 when the
ratio, that share taken away, is 1.3 or more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from torch.distributed import checkpoint as dcp

from medlm_recipes.config.loading import load_config, resolved
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.manifest import Manifest, file_sizes, hash_file
from medlm_recipes.models.building import build_model
from medlm_recipes.tokenization.loading import tokenizer_hash
from medlm_recipes.training.run_folder import ARCHITECTURE

ROOT = Path(__file__).parents[1]
VOCABULARY, SEQUENCE = 28_896, 1_024
MOST = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="yamls/train/biomedlm-1.3b.yaml")
    parser.add_argument("--dtype", default="bfloat16")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint = folder / "run" / "checkpoints" / "tok1"
        make_checkpoint(asked.recipe, checkpoint)
        idle = largest([sys.executable, "-c", "import medlm_recipes.export.export"])
        began = time.perf_counter()
        out = folder / "hf"
        command = ["recipes/export.py", "yamls/export/huggingface.yaml", f"checkpoint={checkpoint}", f"out={out}"]
        peak = largest([sys.executable, *command, f"dtype={asked.dtype}"])
        seconds = time.perf_counter() - began
        written = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    ratio = (peak - idle) / written
    print(
        f"{asked.recipe}, {asked.dtype}: {written / 1e9:.2f} GB of weights written in {seconds:.0f} s; largest process "
        f"{peak / 1e9:.2f} GB, {idle / 1e9:.2f} GB of it before it reads: {ratio:.2f} x the weights"
    )
    sys.exit(ratio >= MOST)


def largest(command: list[str]) -> int:
    """Bytes of the largest resident set of a command, by a shell of its own so that commands do not mix."""
    measured = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *command],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return int(done.stdout) * 1024


def make_checkpoint(recipe: str, folder: Path) -> None:
    """A checkpoint of the recipe's fresh model, as a train run leaves it, in `folder`."""
    config = load_config(TrainConfig, ROOT / recipe, [f"run={folder}", "shards=none", "tokenizer=none"])
    model = build_model(config.model, VOCABULARY, SEQUENCE, end_of_text=0)
    dcp.save(
        {f"state.model.model.{name}": weight for name, weight in model.state_dict().items()},
        storage_writer=dcp.FileSystemWriter(folder),
    )
    make_tokenizer(folder.parents[1] / "tokenizer")
    facts = {
        "tokens": 1, "steps": 1, "vocab_size": VOCABULARY, "sequence_length": SEQUENCE, "end_of_text": 0,
        "tokenizer_sha256": tokenizer_hash(folder.parents[1] / "tokenizer"),
        ARCHITECTURE: model.config.to_dict(),
        "files": {
            name: {"bytes": size, "sha256": hash_file(folder / name)} for name, size in file_sizes(folder).items()
        },
    }  # fmt: skip
    Manifest(stage="train", config=resolved(config), inputs={}, facts=facts).write(folder)


def make_tokenizer(folder: Path) -> None:
    """A tokenizer of bytes and an end of text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2TokenizerFast

    alphabet = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytewise = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    GPT2TokenizerFast(tokenizer_object=bytewise, eos_token="<|endoftext|>").save_pretrained(folder)


if __name__ == "__main__":
    main()
