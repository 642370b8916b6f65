"""Opens the same shards again and again, to be launched twice at a time: opening.py shards source times."""

import sys

from composer.utils import dist

from medlm_recipes.shards.streaming import validation_loader

shards, source, times = sys.argv[1:]
dist.initialize_dist("cpu")
for _ in range(int(times)):
    validation_loader(shards, source, 4)
