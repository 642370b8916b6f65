"""The model card of an export, filled from what the manifests record."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from medlm_recipes.config.export import ExportConfig
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, read_manifest


def read_scores(folder: str, checkpoint: str) -> dict[str, Any]:
    """The results of an evaluate folder. Raises DataError when they are another checkpoint's, or invalid."""
    scored = read_manifest(folder, "evaluate").inputs["checkpoint"]
    if scored != checkpoint:
        raise DataError(f"{folder}: scores the checkpoint {scored[:12]}, but {checkpoint[:12]} is exported")
    results: dict[str, Any] = json.loads((Path(folder) / "results.json").read_text())
    if not results.get("valid", True):
        raise DataError(
            f"{folder}: its results are marked invalid: {results['invalid_because']}; leave it out of results"
        )
    return results


def write_model_card(
    folder: Path, config: ExportConfig, checkpoint: Manifest, parameters: int, scores: list[dict[str, Any]]
) -> None:
    """README.md of a Hugging Face folder: what was trained on what, its scores, and what it is not for."""
    # Markdown, not HTML: nothing is escaped, and all values are this package's own records.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("medlm_recipes", "export"), undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("model_card.md.jinja").render(
        license=config.license,
        dtype=config.dtype,
        parameters=parameters,
        facts=checkpoint.facts,
        recipe=checkpoint.config,
        version=checkpoint.package_version,
        scores=scores,
    )
    (folder / "README.md").write_text(text)
