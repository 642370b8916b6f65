"""What every recipe shares on the command line: arguments, `--help`, `--dry-run`, exit codes."""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING
from typing import Any, TypeVar, cast

from medlm_recipes.config.fields import REQUIRED, group_of
from medlm_recipes.config.loading import load_config, schema_fields, type_name
from medlm_recipes.errors import ConfigError, RecipeError

C = TypeVar("C")

MENDABLE = 2
"""Exit code for what the user can mend."""

STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: told to stop, not done, start me again. A job script can requeue on it."""

_SECONDS_FOR_RANK_0 = 10


def run_command(
    schema: type[C], stage: Callable[[C, bool], object], about: str | None, arguments: Sequence[str] | None = None
) -> None:
    """Run `stage(config, dry_run)` as the command line asks; exits 0 when done, 2 on a RecipeError."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--help" in given or "-h" in given:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `--help | head` ends quietly
        print(help_text(schema, about or ""))
        return
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars; our own stages print plain lines
    try:
        dry_run = "--dry-run" in given
        stage(_config(schema, [word for word in given if word != "--dry-run"]), dry_run)
    except RecipeError as error:
        if os.environ.get("RANK", "0") != "0":
            # Rank 0 has found the same, says it once and ends the launch; this rank's own message shows
            # only where rank 0 goes on, which means that this rank alone sees the fault.
            time.sleep(_SECONDS_FOR_RANK_0)
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(MENDABLE)


def _config(schema: type[C], words: list[str]) -> C:
    recipes = [word for word in words if "=" not in word and not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-")]
    if unknown:
        raise ConfigError(f"{unknown[0]}: no such option; there are --dry-run and --help, and key=value overrides")
    if len(recipes) != 1:
        found = "none" if not recipes else " ".join(recipes)
        raise ConfigError(f"give one recipe YAML and key=value overrides; recipes given: {found}")
    return load_config(schema, recipes[0], [word for word in words if "=" in word])


def help_text(schema: type, about: str) -> str:
    usage = "usage: RECIPE.yaml [key=value ...] [--dry-run] [--help]"
    lines = [about.strip(), "", usage, "", "keys:"]
    for name, kind, default, meaning in _keys(schema, ""):
        lines.append(f"  {name}  ({kind}, {default})")
        lines += textwrap.wrap(meaning, 96, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _keys(schema: type, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for entry, hint in schema_fields(schema):
        name = f"{prefix}{entry.name}"
        if group := group_of(hint):
            shown = "see below" if hint is group else "default null"
            yield f"{name}.*", "group", shown, entry.metadata["meaning"]
            yield from _keys(group, f"{name}.")
            continue
        default: Any = entry.default
        if default is MISSING:
            default = cast(Any, entry).default_factory()
        shown = "required" if default == REQUIRED else f"default {_yaml_value(default)}"
        yield name, type_name(hint), shown, entry.metadata["meaning"]


def _yaml_value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(_yaml_value(one) for one in value)}]"
    return f'"{value}"' if value == "" else str(value)
