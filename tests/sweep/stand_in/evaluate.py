"""In place of recipes/evaluate.py: a score that rises with the checkpoint's tokens."""

import sys
from pathlib import Path

from faults import Fault
from sweep_bench import publish_results

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.manifest import read_manifest

if __name__ == "__main__":
    config = load_config(EvaluateConfig, sys.argv[1], sys.argv[2:])
    tokens = read_manifest(config.checkpoint, "train").facts["tokens"]
    fault = Fault(f"{Path(sys.argv[1]).stem}-tok{tokens}")
    fault.strike(Path(config.checkpoint).parents[1], tokens)
    publish_results(config, right=60 + tokens // 32)
