"""Prints batches of sample numbers as one rank reads them: order.py shards source '{"workers": ..., ...}'."""

import json
import sys

from medlm_recipes.config.train import DataKeys
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.shards.streaming import train_loader
from medlm_recipes.shards.windows import Window

shards, source, request = sys.argv[1:]
asked = json.loads(request)
windows = [Window(*window) for window in asked["windows"]]
samples = read_shards(shards).facts["splits"]["train"][source]["samples"]
spec = train_loader(shards, {source: samples}, 16, DataKeys(workers=asked["workers"]), windows)
loader = spec.dataloader
if asked["taken"]:
    fresh = {"num_canonical_nodes": 2, "shuffle_seed": 17, "initial_physical_nodes": 1}
    loader.dataset.load_state_dict({"epoch": 0, "sample_in_epoch": 16 * asked["taken"]} | fresh)
print(json.dumps([[batch["sample"].tolist() for batch in loader] for _ in range(asked["passes"])]))
