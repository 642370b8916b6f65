"""Folders in object stores, named by URL (s3://bucket/path, gs://, oci://, azure://), through Composer's object stores.

Credentials and endpoints are those of each store's own library: for s3 the AWS_* variables or files, and
S3_ENDPOINT_URL for a store that is not Amazon's. Nothing is ever deleted there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medlm_recipes.errors import DataError


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
            return sorted(key[len(self._path) + 1 :] for key in self._store.list_objects(f"{self._path}/{below}"))

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
