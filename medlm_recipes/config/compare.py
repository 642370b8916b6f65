"""Keys of compare_results."""

from dataclasses import dataclass

from medlm_recipes.config.fields import key


@dataclass
class CompareConfig:
    a: str = key("output of evaluate")
    b: str = key("output of evaluate on the same questions, compared with a")
    metric: str = key("score that is compared, as results.json names it", "acc")
    out: str | None = key("folder to write: comparison.json; null: only print", None)
