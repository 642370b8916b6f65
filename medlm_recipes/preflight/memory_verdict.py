"""Whether what a rank needs fits a device."""

import re
from dataclasses import dataclass

GIB = 2**30

ALLOCATOR_SLACK = 1.15
"""Memory that torch's caching allocator reserves over what is in use, at the least: 1.15 to 1.37 in published runs.
It can give back and ask anew when it must, at a cost, so that a run above this but below the device's memory is
tight rather than impossible."""

FITS, TIGHT, TOO_LARGE, UNKNOWN = "fits", "tight", "does not fit", "unknown"


@dataclass(frozen=True)
class Verdict:
    """word: FITS, TIGHT, TOO_LARGE or UNKNOWN. margin: bytes that are left, below 0 that are lacking."""

    word: str
    margin: float | None
    reason: str


def usable_memory(device: str | None) -> float | None:
    """Bytes that a process can allocate on a device named like a100-40gb; None where the name gives no size.

    A device shows torch 98.5 % of its name's GiB (A100-40GB 39.4, A100-80GB and H100-80GB 79.2, H200-141GB
    139.8), of which the CUDA context and NCCL's buffers, which are not torch's, take about 1.4.
    """
    size = re.search(r"(\d+)gb$", device or "")
    return (int(size[1]) * 0.985 - 1.4) * GIB if size else None


def workspaces(device: str | None) -> float:
    """Bytes of cuBLAS's workspaces, one for the forward and one for the backward pass's thread.

    8.125 MiB each, 32 MiB on Hopper and later (aten/src/ATen/cuda/CublasHandlePool.cpp).
    """
    hopper = re.match(r"(g?h|g?b)\d00", device or "") is not None
    return 2 * (32 if hopper else 8.125) * 2**20


def judge(needed: float, usable: float | None) -> Verdict:
    """What `needed` bytes in use at the peak mean on a device with `usable`."""
    if usable is None:
        return Verdict(UNKNOWN, None, "the device's memory is not known; hardware.device names it, like a100-40gb")
    margin = usable - needed
    shown = f"{needed / GIB:.1f} GiB in use at the peak, {usable / GIB:.1f} usable"
    if margin < 0:
        return Verdict(TOO_LARGE, margin, f"{shown}: {-margin / GIB:.1f} GiB too much")
    if needed * ALLOCATOR_SLACK > usable:
        return Verdict(
            TIGHT,
            margin,
            f"{shown}: torch's allocator holds {ALLOCATOR_SLACK} to 1.37 times what is in use and would have to give "
            "memory back, which slows the run or ends it; PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True helps",
        )
    return Verdict(
        FITS, margin, f"{shown}: {margin / GIB:.1f} GiB to spare, {usable / needed:.2f} times what is needed"
    )


def most_that_fits(usable: float) -> float:
    """Bytes in use that still fit without being tight."""
    return usable / ALLOCATOR_SLACK
