"""Progress of a long stage: a bar on a terminal, a plain line every half minute elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 30.0


def track(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while showing how many are done, their rate, and the time left when `total` is known."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, unit=f" {unit}", total=total, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - start)
            left = f", {(total - done) / rate:,.0f} s left" if total else ""
            print(f"{what}: {done:,} {unit}s, {rate:,.1f} {unit}s/s{left}", flush=True)
    print(f"{what}: {done:,} {unit}s in {time.monotonic() - start:,.1f} s", flush=True)
