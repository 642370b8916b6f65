"""The folder that fetch_corpus fills in place: whose it is, who fills it, and whether it is finished.

It may hold a terabyte and its source grows, so it is not made anew under another name as other stages'
outputs are. Instead what is under a final name is verified, and `unfinished.json` stands in the folder
from the first change until all is there: it keeps prepare_corpus from reading half a corpus.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import FILE_NAME, UNFINISHED, read_manifest, write_json

STAGE = "fetch_corpus"
FILLED_FROM = "filled_from"
"""Fact of the manifest: what the folder, once begun, is filled from."""


def check_folder(out: Path, filled_from: Mapping[str, str]) -> None:
    """Raises DataError when `out` is another stage's, or was filled from elsewhere."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: not a folder; choose another out")
    if (out / UNFINISHED).is_file():
        try:
            before = json.loads((out / UNFINISHED).read_text())
        except ValueError:
            return  # torn by a power cut: the files speak for themselves
    elif (out / FILE_NAME).is_file():
        before = read_manifest(out, STAGE).facts[FILLED_FROM]
    else:
        return
    if before != filled_from:
        raise DataError(f"{out}: filled from {_spelled(before)}, not {_spelled(filled_from)}; choose another out")


def _spelled(filled_from: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in filled_from.items())


def check_space(out: Path, size: int) -> None:
    """Raises DataError when the disk of `out` has fewer free bytes than `size`."""
    free = shutil.disk_usage(next(one for one in (out, *out.absolute().parents) if one.is_dir())).free
    if free < size:
        raise DataError(
            f"{out}: {size:,} bytes are missing, and the disk has {free:,} free; make room, or set first, last or limit"
        )


@contextmanager
def filling(out: Path, filled_from: Mapping[str, str]) -> Iterator[None]:
    """Hold `out` against other runs, marked as unfinished and without a manifest, until the clean exit.

    Raises DataError when another run holds it or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{out}: cannot be made ({error.strerror}); choose another out") from None
    try:
        _lock(out, held)
        try:
            write_json(out / UNFINISHED, dict(filled_from))
            (out / FILE_NAME).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{out}: cannot be written ({error.strerror})") from None
        yield
        (out / UNFINISHED).unlink()
    finally:
        os.close(held)


def _lock(out: Path, held: int) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{out}: another fetch_corpus is filling it") from None
    except OSError:
        print(f"notice: {out} is on a file system without locks: let no two fetch_corpus fill it at once", flush=True)
