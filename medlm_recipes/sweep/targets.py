"""The runs that a sweep foretells without training them."""

from pathlib import Path

from medlm_recipes.config.loading import load_config, override
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.shape import shape_of
from medlm_recipes.sweep.plan import SweepPlan
from medlm_recipes.sweep.points import Target
from medlm_recipes.token_math import parse_tokens


def targets(plan: SweepPlan) -> list[Target]:
    """The train recipes to be foretold, on the sweep's own data.

    Raises ConfigError for a recipe that is not one, or whose model's size stands elsewhere.
    """
    found = []
    for recipe in plan.config.forecast:
        first = plan.series[0]
        own = first.main.config
        places = [override("run", own.run), override("shards", own.shards), override("tokenizer", own.tokenizer)]
        config = load_config(TrainConfig, recipe, places)
        shape = shape_of(config.model, first.training.vocab_size, first.training.sequence_length)
        if shape is None:
            raise ConfigError(
                f"forecast: {recipe}: its model is a Hugging Face folder, whose size the recipe does not state; "
                "name a recipe with a gpt2 or llama model"
            )
        tokens = parse_tokens(config.max_duration)
        found.append(Target(Path(recipe).stem, shape.parameters, tokens, first.training.pass_tokens))
    return found
