"""Folders in object stores, named by URL (s3://bucket/path, gs://, oci://, azure://), through Composer's object stores.

Credentials and endpoints are those of each store's own library: for s3 the AWS_* variables or files, and
S3_ENDPOINT_URL for a store that is not Amazon's. Nothing is ever deleted there.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import FILE_NAME
from medlm_recipes.progress import track

C = TypeVar("C")

_LOCK = ".lock"


def is_remote(place: str) -> bool:
    """Whether `place` is a URL rather than a path."""
    return "://" in place


def local_place(url: str) -> Path:
    """Where copies of a remote folder stand."""
    return Path(cache_folder(), *PurePosixPath(url.replace("://", "/")).parts)


def cache_folder() -> Path:
    """What can be made again stands here: below XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "medlm-recipes")


def local_copy(place: str, wanted: Callable[[str], bool] = lambda name: True) -> Path:
    """The folder `place`, or a copy of a remote one: its files whose names are `wanted`.

    What is there already in the same size is not fetched again, unless the manifest has changed.
    Processes of one machine wait for each other. Raises DataError when nothing is there.
    """
    if not is_remote(place):
        return Path(place)
    remote, folder = RemoteFolder(place), local_place(place)
    names = [name for name in remote.names() if wanted(name)]
    if not names:
        raise DataError(f"{place}: there are no such files; check the URL")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in names if not _is_there(remote, folder, name)]
        for name in track(missing, f"fetching {place}", "file", len(missing)):
            remote.get(name, folder / name)
    return folder


def _is_there(remote: "RemoteFolder", folder: Path, name: str) -> bool:
    # A manifest's size says nothing of its hashes, and it is small.
    path = folder / name
    return Path(name).name != FILE_NAME and path.is_file() and path.stat().st_size == remote.size(name)


@contextmanager
def at_hand(config: C, *inputs: str, dry_run: bool) -> Iterator[C]:
    """`config` with local folders in the place of remote ones.

    inputs: keys whose folders are fetched. A remote `out` is written locally and copied there on a clean
    exit, its manifest last; where one stands already, the stage finds its output made, or made otherwise.
    """
    given: dict[str, Any] = {}
    for name in inputs:
        value = getattr(config, name)
        if isinstance(value, list):
            given[name] = [str(local_copy(place)) for place in value]
        elif value is not None:
            given[name] = str(local_copy(value))
    url: str = cast(Any, config).out
    if not is_remote(url):
        yield replace(cast(Any, config), **given)
        return
    remote, folder = RemoteFolder(url), local_place(url)
    if FILE_NAME in remote.names():
        remote.get(FILE_NAME, folder / FILE_NAME)
        yield replace(cast(Any, config), **given, out=str(folder))
        return
    yield replace(cast(Any, config), **given, out=str(folder))
    if not dry_run:
        _send(folder, remote)


def _send(folder: Path, remote: "RemoteFolder") -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _LOCK)
    files.sort(key=lambda path: path == folder / FILE_NAME)
    for path in track(files, f"copying to {remote.url}", "file", len(files)):
        remote.put(path, path.relative_to(folder).as_posix())


class RemoteFolder:
    """A folder of an object store; names of files are relative to it.

    Every call raises DataError, naming the URL, when the store refuses or cannot be reached.
    """

    def __init__(self, url: str) -> None:
        from composer.utils import maybe_create_object_store_from_uri, parse_uri

        self.url = url.rstrip("/")
        self._path = parse_uri(self.url)[2]
        with self._explained(""):
            self._store: Any = maybe_create_object_store_from_uri(self.url)

    def names(self, below: str = "") -> list[str]:
        """Files whose name begins with `below`, sorted."""
        with self._explained(below):
            keys = self._store.list_objects(f"{self._path}/{below}")
        names = sorted(key[len(self._path) + 1 :] for key in keys if not key.endswith("/"))
        for name in names:
            if ".." in PurePosixPath(name).parts or name.startswith("/"):
                raise DataError(f"{self.url}/{name}: such a name would leave the folder that it is copied to")
        return names

    def size(self, name: str) -> int:
        """Bytes of a file."""
        with self._explained(name):
            return int(self._store.get_object_size(f"{self._path}/{name}"))

    def put(self, path: Path, name: str) -> None:
        """Copy the file `path` there; it appears under `name` when all of it is there."""
        with self._explained(name):
            self._store.upload_object(f"{self._path}/{name}", str(path))

    def get(self, name: str, path: Path) -> None:
        """Copy the file `name` to `path`, whose folder is made; it appears when all of it is here."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained(name):
            self._store.download_object(f"{self._path}/{name}", str(path), overwrite=True)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # each store's library has errors of its own
            what = " ".join(f"{type(error).__name__}: {error}".split())
            where = f"{self.url}/{name}".rstrip("/")
            raise DataError(f"{where}: {what}; check the URL, the credentials and the network") from None
