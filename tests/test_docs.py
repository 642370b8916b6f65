"""Every command that README, docs and recipes show is one that the verbs take, and is run or said not to be."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from launch import ROOT
from test_repository import schema_of

from medlm_recipes.config.loading import load_config

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
YAMLS = sorted((ROOT / "yamls").rglob("*.yaml"))

# recipe -> what it takes that tests have not. Its verb is run on others; its keys are checked here like all.
NOT_RUN = {
    "yamls/shards/meditron-70b.yaml": "Llama 2's tokenizer and GAP-Replay",
    "yamls/train/biomedlm-350m.yaml": "GPUs",
    "yamls/train/biomedlm-760m.yaml": "GPUs",
    **{f"yamls/train/finetune-{name}.yaml": "GPUs" for name in ("medqa", "pubmedqa", "bioasq", "meqsum")},
    **{f"yamls/train/finetune-meditron-{size}b.yaml": "GPUs" for size in (7, 70)},
}


@dataclass(frozen=True)
class Command:
    """A documented call of a verb: where it stands, the verb, its recipe and the words after it."""

    place: str
    verb: str
    recipe: str | None
    words: tuple[str, ...]


def shown(path: Path) -> list[Command]:
    """Calls of verbs in a page's code blocks, or in a recipe's comments; a backslash joins lines."""
    text = path.read_text()
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    else:
        text = "\n".join(re.sub(r"^#\s?", "", line) for line in text.splitlines() if line.startswith("#"))
    text = re.sub(r"\[(key=value \.\.\.|--[\w-]+)\]", "", re.sub(r"\\\n\s*", " ", text))
    commands = []
    for line in text.splitlines():
        found = re.match(r"\s*(?:\$ )?(?:python|composer)\b.*?\brecipes/(\w+)\.py\s*(.*)", line)
        if found:
            words = shlex.split(found[2], comments=True)
            recipe = words.pop(0) if words and words[0].startswith("yamls/") else None
            commands.append(Command(str(path.relative_to(ROOT)), found[1], recipe, tuple(words)))
    return commands


COMMANDS = [command for path in [*PAGES, *YAMLS] for command in shown(path)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.place}:{command.verb}")
def test_a_documented_command_is_one_that_the_verb_takes(command: Command) -> None:
    assert (ROOT / "recipes" / f"{command.verb}.py").is_file()
    if command.recipe is None or "NAME" in command.recipe:
        return
    path = ROOT / command.recipe
    assert path.is_file(), command.recipe
    schema, required = schema_of(path)
    given = [word for word in command.words if "=" in word]
    assert set(command.words) - set(given) <= {"--dry-run", "--help"}, command.words
    named = {word.split("=")[0] for word in given}
    load_config(schema, path, [*(word for word in required if word.split("=")[0] not in named), *given])


def test_a_documented_recipe_is_run_by_a_test_or_said_not_to_be() -> None:
    tests = "\n".join(
        path.read_text() for path in [ROOT / "Makefile", *(ROOT / "tests").rglob("*.py")] if path != Path(__file__)
    )
    documented = {command.recipe for command in COMMANDS if command.recipe and "NAME" not in command.recipe}
    run = {
        recipe for recipe in documented if recipe.removeprefix("yamls/") in tests or f'"{Path(recipe).stem}"' in tests
    }
    assert sorted(documented - run) == sorted(NOT_RUN)


def test_commands_were_found() -> None:
    assert {command.place for command in COMMANDS} >= {
        "README.md",
        "docs/training.md",
        "yamls/train/biomedlm-2.7b.yaml",
    }
