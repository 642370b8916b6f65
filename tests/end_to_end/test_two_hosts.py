"""`composer` over two hosts: network namespaces joined by a cable, each with its own shared memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch import ROOT, train_arguments

from medlm_recipes.callbacks.metrics import read_rows

HOSTS = {"medlm-a": ("medlm-va", "10.199.7.1"), "medlm-b": ("medlm-vb", "10.199.7.2")}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two network namespaces that reach each other and nothing else."""
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        (near, _), (far, _) = HOSTS.values()
        ip("link", "add", near, "type", "veth", "peer", "name", far)
        for host, (device, address) in HOSTS.items():
            ip("link", "set", device, "netns", host)
            ip("-n", host, "addr", "add", f"{address}/24", "dev", device)
            for up in (device, "lo"):
                ip("-n", host, "link", "set", up, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        tear_down()
        pytest.skip(f"network namespaces are not allowed here: {getattr(error, 'stderr', error)}")
    yield
    tear_down()


def tear_down() -> None:
    for host in HOSTS:
        subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)


def launch(rank: int, host: str, arguments: list[str], tmp_path: Path) -> subprocess.Popen[str]:
    """One launcher with one rank on one host; /dev/shm and TMPDIR are the host's own."""
    device, _ = HOSTS[host]
    _, master = HOSTS["medlm-a"]
    temporary = tmp_path / host
    temporary.mkdir()
    composer = [sys.executable, "-m", "composer.cli", "--nproc", "1", "--world_size", "2", "--node_rank", str(rank)]
    meeting = ["--master_addr", master, "--master_port", "29577", "recipes/train.py", *arguments]
    private = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'
    return subprocess.Popen(
        ["ip", "netns", "exec", host, "unshare", "-m", "bash", "-c", private, "host", *composer, *meeting],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": device, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_hosts_train_like_one_host_with_two_ranks(hosts: None, trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    launches = [launch(rank, host, train_arguments(line, run), tmp_path) for rank, host in enumerate(HOSTS)]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in launches]
    finally:
        for process in launches:
            process.kill()
    assert [process.returncode for process in launches] == [0, 0], "\n".join(outputs)
    pairs = list(zip(read_rows(trained / "metrics.jsonl"), read_rows(run / "metrics.jsonl"), strict=True))
    assert len(pairs) > 40
    assert max(abs(one["loss"] - two["loss"]) for one, two in pairs) < 1e-5
