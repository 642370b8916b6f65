"""HTTP as the fetchers use it: what passes is tried again after a growing pause, what does not is one message."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx

from medlm_recipes import __version__
from medlm_recipes.config.fetch import RetryConfig
from medlm_recipes.errors import DataError

T = TypeVar("T")

MOST_BYTES = 1 << 26
"""Of an answer that is held in memory (64 MiB): listings and metadata."""

_BUSY = (408, 425, 429)
_WITH_BODY = (200, 206)
RANGE_REFUSED = 416


class FetchError(DataError):
    """One address that cannot be fetched, for good or after all tries."""


class Temporary(Exception):
    """Something that another try may mend. retry_after: seconds that the server asked for."""

    def __init__(self, what: str, retry_after: float = 0.0) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class Stopped(Exception):
    """The command ends; whatever is under way is left as it is, for the next run."""


class Transport:
    """Connections to a server, shared by threads. headers: sent with every request to it.

    Proxies and certificates come from the environment, as the usual variables name them.
    """

    def __init__(self, retry: RetryConfig, connections: int, headers: Mapping[str, str] | None = None) -> None:
        self.retry = retry
        self.stop = threading.Event()
        self._quiet_until = 0.0  # what one thread was asked to wait, all wait
        self._client = httpx.Client(
            # Encoded bodies would make byte ranges and sizes those of another file.
            headers={"User-Agent": f"medlm-recipes/{__version__}", "Accept-Encoding": "identity", **(headers or {})},
            timeout=retry.timeout,
            follow_redirects=True,  # of http and https only: the client knows no other scheme
            limits=httpx.Limits(max_connections=connections + 1, max_keepalive_connections=connections + 1),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, url: str, params: Mapping[str, str] | None = None) -> bytes:
        """A small answer, whole. Raises FetchError."""
        address = str(httpx.URL(url, params=params)) if params else url

        def attempt() -> bytes:
            with self.open(address) as response:
                if response.status_code != httpx.codes.OK:
                    raise FetchError(f"{address}: {response.status_code} where 200 was expected")
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise FetchError(f"{address}: the answer is above {MOST_BYTES:,} bytes")
                return bytes(content)

        return self.retrying(address, attempt)

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """An answer of status 200, 206 or 416, whose body is still to be read.

        Raises Temporary for what another try may mend, here and while the body is read, and
        FetchError for what it will not.
        """
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                if response.status_code not in (*_WITH_BODY, RANGE_REFUSED):
                    self._refuse(url, response)
                yield response
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise FetchError(f"{url}: cannot be followed ({error})") from None
        except httpx.RequestError as error:
            raise Temporary(str(error) or type(error).__name__) from None

    def _refuse(self, url: str, response: httpx.Response) -> None:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        if response.status_code in _BUSY or response.status_code >= 500:
            raise Temporary(status, seconds_of(response.headers.get("Retry-After", "")))
        raise FetchError(f"{url}: {status}")

    def retrying(self, url: str, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """What `attempt` returns, tried again after a pause as long as it raises Temporary.

        The tries are counted from the last one after which `progress()` stood higher than ever.
        Raises FetchError when they are used up.
        """
        failures, best = 0, progress()
        while True:
            self._wait(self._quiet_until - time.monotonic())
            try:
                return attempt()
            except Temporary as error:
                reached = progress()
                failures, best = (1, reached) if reached > best else (failures + 1, best)
                if failures >= self.retry.attempts:
                    raise FetchError(f"{url}: {error}; given up after {failures} tries") from None
                self.pause(failures, url, error.retry_after)

    def pause(self, failures: int, url: str, asked: float = 0.0) -> None:
        """Wait before the next try. Raises FetchError when the server asks for more than is allowed."""
        if asked > self.retry.longest_pause:
            raise FetchError(
                f"{url}: the server asks to come back in {asked:,.0f} s, which is beyond retry.longest_pause; "
                "run it again then"
            )
        doubled = min(self.retry.longest_pause, self.retry.pause * 2.0 ** min(failures - 1, 30))
        self._quiet_until = max(self._quiet_until, time.monotonic() + asked)
        self._wait(doubled * random.uniform(0.5, 1.0))  # noqa: S311 (spreads the tries, no secret)

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(max(seconds, 0.0)):
            raise Stopped


def seconds_of(retry_after: str) -> float:
    """A Retry-After header, which is a number of seconds or a date; 0 when it is neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
