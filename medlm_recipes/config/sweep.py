"""Keys of sweep."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, each, key, one_of, tokens


@dataclass
class SweepConfig:
    out: str = key("folder to write: sweep.json, report.html, *.png, manifest.json")
    design: str = key(
        "checkpoints: one train run, evaluated at the budgets that it saved on its way",
        "checkpoints",
        check=one_of("checkpoints"),
    )
    train: str = key("train recipe; it is launched when a budget's checkpoint is not there yet")
    evaluate: str = key("evaluate recipe; its checkpoint and out are set for each budget")
    train_overrides: list[str] = key("key=value laid over the train recipe", [])
    evaluate_overrides: list[str] = key("key=value laid over the evaluate recipe", [])
    budgets: list[str] = key(
        "token budgets to compare; empty: those of the train recipe and its end", [], check=each(tokens)
    )
    ranks: int = key("ranks that a train run is launched on", 1, check=at_least(1))
    evaluate_ranks: int = key("ranks that an evaluation is launched on", 1, check=at_least(1))
