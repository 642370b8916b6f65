"""What holds for the repository as a whole: imports one way, entry points thin, every YAML loadable."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from launch import ROOT, recipe

from medlm_recipes.config.cluster import ClusterConfig
from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.export import ExportConfig
from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.shards import ShardsConfig
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.config.world import WorldConfig
from medlm_recipes.training.plan import check_ranks

# folder or quickstart file -> schema, and what its recipes ask the command line for
SCHEMAS = {
    "world": (WorldConfig, []),
    "fetch": (FetchConfig, ["out=x"]),
    "corpus": (CorpusConfig, ["inputs=[x]", "out=x"]),
    "tokenizer": (TokenizerConfig, ["documents=x", "out=x"]),
    "shards": (ShardsConfig, ["documents=x", "tokenizer=x", "out=x"]),
    "train": (TrainConfig, ["run=x", "shards=x", "tokenizer=x"]),
    "evaluate": (EvaluateConfig, ["checkpoint=x", "benchmark=x", "out=x"]),
    "sweep": (SweepConfig, []),
    "export": (ExportConfig, ["checkpoint=x", "out=x"]),
}
ALSO = {"tokenizer/meditron.yaml": ["base=x"]}  # what a recipe asks for besides
RECIPES = [
    path for path in sorted((ROOT / "yamls").rglob("*.yaml")) if path.parent.name not in ("tasks", "launch", "cluster")
]
PROFILES = sorted(path.stem for path in (ROOT / "yamls" / "cluster").glob("*.yaml"))
VERBS = sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))

# A module may import from its own layer's package and from any layer before it.
LAYERS = [
    {"errors", "manifest", "partial", "checksums", "token_math", "progress", "remote", "__init__"},
    {"config"},
    {"execution"},
    {"corpus", "fetching"},
    {"tokenization", "models", "optim", "parallel"},
    {"shards", "callbacks"},
    {"training"},
    {"preflight"},
    {"evaluation", "export"},
    {"sweep"},
]


def schema_of(path: Path) -> tuple[type, list[str]]:
    schema, overrides = SCHEMAS[path.stem if path.parent.name == "quickstart" else path.parent.name]
    return schema, [*overrides, *ALSO.get(f"{path.parent.name}/{path.name}", [])]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_recipe_loads_through_its_schema(path: Path) -> None:
    schema, overrides = schema_of(path)
    config = load_config(schema, path, overrides)
    if isinstance(config, TrainConfig):
        builds_on_the_meta_device(config)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "path", [path for path in RECIPES if schema_of(path)[0] is TrainConfig], ids=lambda path: path.stem
)
def test_every_train_recipe_loads_with_every_cluster_profile(path: Path, profile: str) -> None:
    config = load_config(TrainConfig, path, [*schema_of(path)[1], f"cluster={profile}"])
    assert config.hardware.cluster == profile and config.hardware.ranks
    assert config.parallel.precision == ("fp32" if profile == "cpu" else "amp_bf16")
    if path.parent.name == "train":
        check_ranks(config, config.hardware.ranks)


def test_cluster_profiles_name_recipes_that_are_there() -> None:
    for profile in PROFILES:
        recipes = load_config(ClusterConfig, ROOT / "yamls" / "cluster" / f"{profile}.yaml").recipes
        assert not recipes.keys() - {path.stem for path in (ROOT / "yamls" / "train").glob("*.yaml")}, profile


def builds_on_the_meta_device(config: TrainConfig) -> None:
    """Build the recipe's model without weights; of a base on the hub, what the recipe itself states of it."""
    import torch

    from medlm_recipes.models.building import build_model
    from medlm_recipes.models.shape import shape_of

    keys = replace(config.model, pretrained=None, revision=None, trust_remote_code=False)
    shape = shape_of(keys, 28_896, 1024)
    if shape is None:
        pytest.skip(f"loads; building it needs the hub: {config.model.pretrained}")
    with torch.device("meta"):
        model = build_model(keys, vocab_size=28_896, sequence_length=1024, end_of_text=0)
    assert model.num_parameters() == shape.parameters


@pytest.mark.parametrize("verb", VERBS)
def test_help_lists_the_keys_and_imports_nothing_heavy(verb: str) -> None:
    answer = recipe(verb, "--help")
    assert answer.returncode == 0 and "keys:" in answer.stdout and "required" in answer.stdout
    heavy = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"runpy.run_path('recipes/{verb}.py', run_name='__main__')\n"
        "heavy = {'torch', 'transformers', 'composer', 'streaming', 'lm_eval', 'matplotlib', 'datatrove', 'ray'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_entry_points_only_parse_and_call() -> None:
    assert VERBS
    for verb in VERBS:
        assert len((ROOT / "recipes" / f"{verb}.py").read_text().splitlines()) <= 30, verb


def test_imports_go_one_way() -> None:
    package = ROOT / "medlm_recipes"
    order = {name: rank for rank, names in enumerate(LAYERS) for name in names}
    wrong = []
    for path in package.rglob("*.py"):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        for target in imported(path):
            if order[target] > order[own] or (order[target] == order[own] and order[own] > 1 and target != own):
                wrong.append(f"{path.relative_to(ROOT)} imports {target}")
    assert not wrong, wrong


def imported(path: Path) -> set[str]:
    """Top-level names below medlm_recipes that a module imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medlm_recipes"):
            parts = (node.module or "").split(".")
            found.add(parts[1] if len(parts) > 1 else "__init__")
    return found


def test_unknown_words_on_the_command_line_are_one_message() -> None:
    for arguments in (["yamls/corpus/pile.yaml", "--dryrun"], [], ["a.yaml", "b.yaml"]):
        answer = recipe("prepare_corpus", *arguments)
        assert answer.returncode == 2 and answer.stderr.startswith("error: ") and "Traceback" not in answer.stderr
