"""Shards of several sources whose rows tell where they are from."""

from pathlib import Path

import numpy as np
from streaming import MDSWriter

from medlm_recipes.manifest import Manifest
from medlm_recipes.tokenization.loading import tokenizer_hash

LENGTH = 128


def make_shards(folder: Path, tokenizer: Path, sizes: dict[str, int], vocabulary: int = 800) -> Path:
    """`sizes` rows of each source, about 30 a shard; a row begins with its source's number and its own in base 100."""
    random = np.random.default_rng(0)
    counts = {}
    for number, (source, rows) in enumerate(sorted(sizes.items())):
        columns = {"tokens": f"ndarray:uint16:{LENGTH}"}
        with MDSWriter(out=str(folder / "train" / source), columns=columns, size_limit=1 << 13) as writer:
            for row in range(rows):
                tokens = random.integers(0, vocabulary, LENGTH, np.uint16)
                tokens[:3] = number, *divmod(row, 100)
                writer.write({"tokens": tokens})
        counts[source] = {"documents": rows // 2, "bytes": rows * 400, "tokens": rows * LENGTH, "samples": rows}
    facts = {
        "tokenizer_sha256": tokenizer_hash(tokenizer),
        "vocab_size": vocabulary,
        "end_of_text": 0,
        "sequence_length": LENGTH,
        "splits": {"train": counts, "validation": {}},
    }
    Manifest("convert_text_to_mds", {}, {}, facts).write(folder)
    return folder
