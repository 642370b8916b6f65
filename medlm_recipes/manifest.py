"""What made a folder, and the rule that a folder under its final name is whole.

A stage writes into `<out>.partial` and renames it once its `manifest.json` stands in it, so that a
folder with a manifest is complete and one without is refused by every later stage. A manifest holds
no times and no machine's paths: the same inputs and config give the same bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlm_recipes import __version__
from medlm_recipes.errors import DataError
from medlm_recipes.partial import Partial, is_full, unwritable

FILE_NAME = "manifest.json"
UNFINISHED = "unfinished.json"
"""Stands in a folder that fetch_corpus is filling or has not finished: what is there is not the whole."""


@dataclass
class Manifest:
    """Record of one finished stage.

    stage: the verb. config: the resolved recipe, as far as it decides what is written.
    inputs: file or folder name -> sha256. facts: counts, hashes and seeds that later stages read.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    package_version: str = __version__

    def write(self, folder: Path) -> None:
        write_json(folder / FILE_NAME, self.__dict__)


def read_manifest(folder: str | Path, stage: str, *others: str) -> Manifest:
    """The manifest of a finished `stage`, or of one of `others`, in `folder`.

    Raises DataError when the folder is missing, unfinished, or was made by another stage.
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; run recipes/{stage}.py with out={folder} first")
    if not path.is_file():
        raise DataError(f"{folder}: has no {FILE_NAME}, so it is not a finished output of recipes/{stage}.py")
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); make the folder again with recipes/{stage}.py") from None
    if manifest.stage not in (stage, *others):
        needed = " or ".join(f"recipes/{one}.py" for one in (stage, *others))
        raise DataError(f"{folder}: made by recipes/{manifest.stage}.py; here an output of {needed} is needed")
    return manifest


@contextmanager
def publish(out: str | Path, manifest: Manifest, *, begun_from: dict[str, Any] | None = None) -> Iterator[Path | None]:
    """Yield a folder to write in; on a clean exit it gets its manifest and its final name `out`.

    Yields None when `out` already stands, made from the same config and inputs. Raises DataError,
    naming the difference, when it was made from others: finished work is never overwritten.
    begun_from: for a stage that can continue what a killed or failed run left in `<out>.partial`:
    what, besides stage and version, that must have been begun from (JSON). Anything else there is
    removed, and so is everything when a stage without it fails.
    Raises DataError for a full disk, and when another run writes there.
    """
    out = Path(out)
    if is_made(out, manifest):
        yield None
        return
    begun = None if begun_from is None else {"stage": manifest.stage, "version": manifest.package_version} | begun_from
    partial = Partial(out.with_name(out.name + ".partial"))
    try:
        if is_made(out, manifest):  # by the run that held the lock until now
            partial.discard()
            yield None
            return
        if _is_whole(partial.folder, manifest):
            partial.become(out)
            print(f"{out}: done; only the name was missing, the run before was killed at its very end", flush=True)
            yield None
            return
        (partial.folder / FILE_NAME).unlink(missing_ok=True)
        partial.begin(begun)
        yield partial.folder
        manifest.write(partial.folder)
        partial.become(out)
    except BaseException as error:
        if begun is None:
            partial.discard()
        if is_full(error):
            raise unwritable(partial.folder, error) from None
        raise
    finally:
        partial.release()


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the manifest, the last that a stage writes, is in a partial folder and of the same config and inputs."""
    try:
        old = read_manifest(folder, manifest.stage)
    except DataError:
        return False
    return (old.config, old.inputs) == (manifest.config, manifest.inputs)


def is_made(out: str | Path, manifest: Manifest) -> bool:
    """As `stands`, and says so to the user."""
    made = stands(out, manifest)
    if made:
        print(f"{out}: already made from the same config and inputs; nothing to do", flush=True)
    return made


def stands(out: str | Path, manifest: Manifest) -> bool:
    """Whether `out` stands, made by the same stage from the same config and inputs.

    Raises DataError, naming the difference, when it holds anything else.
    """
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / FILE_NAME).is_file():
        raise DataError(f"{out}: not empty and not an output of this package; choose another out")
    old = read_manifest(out, manifest.stage)
    for what, before, now in (("config", old.config, manifest.config), ("input", old.inputs, manifest.inputs)):
        different = differences(before, now)
        if different:
            raise DataError(
                f"{out}: already made from another {what} ({'; '.join(different[:5])}); "
                "remove the folder or choose another out"
            )
    return True


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """`key: old, now new` for every leaf that differs between two nested dicts."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, "absent"), now.get(name, "absent")
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old}, now {new}")
    return found


def decisive(config: dict[str, Any], *, leave_out: Sequence[str]) -> dict[str, Any]:
    """A resolved config without the top-level keys that do not decide what is written (paths, workers)."""
    return {name: value for name, value in config.items() if name not in leave_out}


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file of a folder but its manifest."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != FILE_NAME}


def hash_file(path: str | Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """sha256 of a JSON value in canonical form, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    aside = path.with_name(path.name + ".partial")
    aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    aside.replace(path)
