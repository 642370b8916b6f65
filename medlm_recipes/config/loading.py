"""YAML and `key=value` overrides to a checked dataclass; every problem is reported at once.

A schema is a dataclass of `fields.key` and `fields.section`. A schema may define
`problems(self) -> Iterable[tuple[str, str]]` for combinations that no single key can judge: pairs
of a key (relative to that schema) and what is wrong. A schema of a recipe may define
`layer(path, given) -> dict` for keys that are laid over the file's, below the overrides.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medlm_recipes.config.fields import REQUIRED, did_you_mean, group_of
from medlm_recipes.errors import ConfigError

C = TypeVar("C")


def load_config(schema: type[C], path: str | Path, overrides: Sequence[str] = ()) -> C:
    """The recipe at `path` with `overrides` (``"a.b=value"``) laid over it, as a `schema`.

    Raises ConfigError that lists every unknown key, wrong type, missing value and impossible
    combination, each with its key, its value and the nearest valid key.
    """
    layers = [_read_yaml(path), *map(_read_override, overrides)]
    values = _merged(path, layers)
    layer = cast(Any, schema).layer(Path(path), values) if hasattr(schema, "layer") else {}
    if layer:
        layers.insert(1, OmegaConf.create(layer))
        values = _merged(path, layers)
    config = OmegaConf.structured(schema)
    problems = list(_fill(config, schema, values, ""))
    problems += _missing(config, schema, "", {name for name, _ in problems})
    problems += _combinations(config, schema, "", [name for name, _ in problems])
    if problems:
        plural = "problem" if len(problems) == 1 else "problems"
        laid = [name for name, given in (("its cluster profile", layer), ("overrides", overrides)) if given]
        where = " with ".join([str(path), " and ".join(laid)] if laid else [str(path)])
        lines = [f"{where}: {len(problems)} {plural}", *(f"  {name}: {what}" for name, what in problems)]
        raise ConfigError("\n".join(lines))
    return cast(C, OmegaConf.to_object(config))


def _merged(path: str | Path, layers: list[DictConfig]) -> dict[Any, Any]:
    merged = OmegaConf.create()
    try:
        for layer in layers:
            merged = cast(DictConfig, OmegaConf.merge(merged, layer))
        return cast(dict[Any, Any], OmegaConf.to_container(merged, resolve=True))
    except TypeError:  # of a merge, which names no key
        given = OmegaConf.to_container(layer)
        raise ConfigError(f"{path}: {given} has a group of keys where a list belongs, or a list for a group") from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: {_first_line(error)}") from None


def override(name: str, path: str | Path) -> str:
    """key=value of a folder; quoted, since the value is read as YAML and a folder may have any name."""
    return f"{name}={json.dumps(str(path), ensure_ascii=False)}"


def resolved(config: Any) -> dict[str, Any]:
    """A checked config as plain dicts and lists, for manifests and `config.yaml`."""
    container = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(container, dict)
    return cast(dict[str, Any], container)


def to_yaml(config: Any) -> str:
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def schema_fields(schema: type) -> Iterator[tuple[Field[Any], Any]]:
    """The keys of a schema with their types."""
    hints = get_type_hints(schema)
    for entry in fields(schema):
        yield entry, hints[entry.name]


def _read_yaml(path: str | Path) -> DictConfig:
    try:
        given = OmegaConf.load(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; recipes stand under yamls/") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, DictConfig):
        raise ConfigError(f"{path}: not a recipe: its top level must be `key: value` lines")
    return given


def _read_override(override: str) -> DictConfig:
    name, equals, value = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"{override!r} is not an override; write key=value, like out=my/folder")
    try:
        return OmegaConf.from_dotlist([override])
    except (yaml.YAMLError, OmegaConfBaseException):
        raise ConfigError(f"{name}: {value!r} is not a YAML value; quote it: {name}='\"{value}\"'") from None


def _fill(config: DictConfig, schema: type, values: dict[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    known = {entry.name: (entry, hint) for entry, hint in schema_fields(schema)}
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        if name not in known:
            yield dotted, f"unknown key (value {value!r}){_nearest_key(str(name), prefix, known)}"
            continue
        entry, hint = known[name]
        if group := group_of(hint):
            yield from _fill_group(config, name, group, value, dotted, is_optional=hint is not group)
            continue
        if get_origin(hint) is list and isinstance(value, str | int | float) and value != REQUIRED:
            value = [value]
        try:
            OmegaConf.update(config, name, value, merge=False)
        except (OmegaConfBaseException, TypeError):  # the latter for a group of keys where a list belongs
            yield dotted, f"{value!r} is not {type_name(hint)}"
            continue
        if value is None or value == REQUIRED:
            continue
        try:
            if isinstance(config[name], float) and not math.isfinite(config[name]):
                raise ValueError("must be finite")
            if entry.metadata["check"]:
                entry.metadata["check"](_plain(config, name))
        except ValueError as error:
            yield dotted, f"{value!r}: {error}"


def _fill_group(
    config: DictConfig, name: str, group: type, value: Any, dotted: str, *, is_optional: bool
) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if config[name] is None:
            config[name] = OmegaConf.structured(group)
        yield from _fill(config[name], group, value, f"{dotted}.")
    elif value is not None or not is_optional:
        yield dotted, f"{value!r} is not a group of keys"


def _plain(config: DictConfig, name: str) -> Any:
    value = config[name]
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _nearest_key(name: str, prefix: str, known: dict[str, Any]) -> str:
    """The key that was meant: the only one of that name inside the groups, else the one spelled most alike."""
    inside = [
        f"{prefix}{group}.{name}"
        for group, (_, hint) in known.items()
        if (keys := group_of(hint)) and name in {entry.name for entry, _ in schema_fields(keys)}
    ]
    if len(inside) == 1:
        return f"; did you mean {inside[0]}?"
    return did_you_mean(f"{prefix}{name}", [f"{prefix}{key}" for key in known])


def _missing(config: DictConfig, schema: type, prefix: str, reported: set[str]) -> Iterator[tuple[str, str]]:
    for entry, hint in schema_fields(schema):
        dotted = f"{prefix}{entry.name}"
        if group := group_of(hint):
            if config[entry.name] is not None:
                yield from _missing(config[entry.name], group, f"{dotted}.", reported)
        elif OmegaConf.is_missing(config, entry.name) and dotted not in reported:
            yield dotted, f"missing; {entry.metadata['meaning']}"


def _combinations(config: DictConfig, schema: type, prefix: str, bad: list[str]) -> Iterator[tuple[str, str]]:
    """What the schemas' own `problems` find, wherever every key below a schema is right by itself."""
    for entry, hint in schema_fields(schema):
        group = group_of(hint)
        if group and config[entry.name] is not None:
            yield from _combinations(config[entry.name], group, f"{prefix}{entry.name}.", bad)
    if hasattr(schema, "problems") and not any(name.startswith(prefix) for name in bad):
        for name, what in cast(Any, OmegaConf.to_object(config)).problems():
            yield f"{prefix}{name}", what


def type_name(hint: Any) -> str:
    """A type as a user reads it in `--help` and in messages."""
    if get_origin(hint) is dict:
        return "a group of keys"
    if get_origin(hint) is list:
        return f"a list of {type_name(get_args(hint)[0]).removeprefix('a ').removeprefix('an ')}s"
    options = [option for option in get_args(hint) if option is not type(None)]
    if options:
        return f"{type_name(options[0])} or null"
    return {int: "an integer", float: "a number", str: "a text", bool: "true or false"}.get(hint, str(hint))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
