"""Datasets of the Hugging Face hub, at one commit.

`huggingface_hub` lists and addresses the files; they are fetched and verified as every other source's
are, since its own download compares sizes only.
"""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.hf_api import DatasetInfo, RepoFile

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.fetching.download import bring
from medlm_recipes.fetching.expected import Expected
from medlm_recipes.fetching.source import Job, Outcome, safe_name
from medlm_recipes.fetching.transport import FetchError, Temporary, Transport

TOKEN = "HF_TOKEN"  # noqa: S105 (the name of a variable)
"""The environment variable with the token for private and gated datasets; it is sent to the hub alone."""

_MANY = 50_000  # beyond so many files the hub's short listing may be cut (huggingface_hub.snapshot_download)
_ROOT = "dataset"  # a folder of their own: a dataset may have a manifest.json as well


def hub_headers() -> dict[str, str]:
    """What a request to the hub carries besides the usual."""
    token = os.environ.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}


class HubSource:
    """The files of a dataset that match `hub.files`. Raises DataError for one that is not there."""

    endings: tuple[str, ...] = ("",)

    def __init__(self, config: FetchConfig, transport: Transport, lists: Path) -> None:
        self._config, self._transport = config, transport
        self._endpoint = config.url.rstrip("/") or constants.ENDPOINT
        self._api = HfApi(endpoint=self._endpoint, token=os.environ.get(TOKEN) or False)
        self._commit, found = transport.retrying(self._endpoint, self._list)
        patterns = [f"{one}*" if one.endswith("/") else one for one in config.hub.files]  # as the hub's own tools do
        wanted = [(safe_name(name), known) for name, known in found if any(fnmatchcase(name, one) for one in patterns)]
        if not wanted:
            raise DataError(
                f"{config.hub.dataset}: of its {len(found):,} files at {self._commit} none matches "
                f"hub.files {', '.join(patterns)}"
            )
        self._files = sorted(wanted, key=lambda one: (PurePosixPath(one[0]).parent, one[0]))[: config.limit]
        self.count = len(self._files)
        self.what = f"{self._endpoint}: {self.count:,} files of {config.hub.dataset} at commit {self._commit}"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"commit": self._commit}

    def jobs(self) -> Iterator[Job]:
        for name, known in self._files:
            url = hf_hub_url(
                self._config.hub.dataset, name, repo_type="dataset", revision=self._commit, endpoint=self._endpoint
            )
            yield Job(f"{_ROOT}/{name}", url, known.bytes, known)

    def fetch(self, job: Job, out: Path) -> Outcome:
        return Outcome([bring(self._transport, out, job.name, job.url, lambda: job.entry)])

    def finish(self, out: Path) -> None:
        pass

    def _list(self) -> tuple[str, list[tuple[str, Expected]]]:
        dataset, revision = self._config.hub.dataset, self._config.hub.revision
        try:
            info = self._api.dataset_info(
                dataset, revision=revision, files_metadata=True, timeout=self._transport.retry.timeout
            )
            return _commit(info), list(self._files_of(info))
        except HFValidationError as error:
            raise ConfigError(f"hub.dataset: {dataset!r}: {error}") from None
        except OfflineModeIsEnabled:
            raise FetchError(f"{self._endpoint}: not asked, since the environment sets HF_HUB_OFFLINE") from None
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == 429 or status >= 500:
                raise Temporary(str(status)) from None
            raise FetchError(
                f"{self._endpoint}: {status} for dataset {dataset} at revision {revision}: there is none, or it needs "
                f"a token, which is read from the environment's {TOKEN}"
            ) from None
        except OSError as error:  # of requests: no connection, time-outs
            raise Temporary(type(error).__name__) from None

    def _files_of(self, info: DatasetInfo) -> Iterator[tuple[str, Expected]]:
        siblings = info.siblings or []
        if len(siblings) <= _MANY:
            for one in siblings:
                yield one.rfilename, _expected(one.size, one.blob_id, one.lfs)
            return
        dataset, commit = self._config.hub.dataset, _commit(info)
        for entry in self._api.list_repo_tree(dataset, recursive=True, revision=commit, repo_type="dataset"):
            if isinstance(entry, RepoFile):
                yield entry.path, _expected(entry.size, entry.blob_id, entry.lfs)


def _commit(info: DatasetInfo) -> str:
    if not info.sha:
        raise FetchError(f"{info.id}: the hub names no commit for it")
    return info.sha


def _expected(size: int | None, blob: str | None, lfs: Any) -> Expected:
    """A file in LFS has a sha256; for any other the hub tells git's own hash."""
    if lfs:
        return Expected(bytes=lfs.size, sha256=lfs.sha256)
    return Expected(bytes=size, git_blob=blob)
