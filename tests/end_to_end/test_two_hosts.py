"""`composer` over two hosts: network namespaces joined by a cable, each with shared memory and a disk of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch import ROOT, STEP_TOKENS, STEPS, train_arguments

from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.training.run_folder import damaged_files

HOSTS = {"medlm-a": ("medlm-va", "10.199.7.1"), "medlm-b": ("medlm-vb", "10.199.7.2")}
MASTER, STORE_PORT = HOSTS["medlm-a"][1], 29588
COMPOSER = [sys.executable, "-m", "composer.cli", "--nproc", "1", "--world_size", "2", "--node_rank"]
MEETING = ["--master_addr", MASTER, "--master_port", "29577", "recipes/train.py"]


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


def start(host: str, command: list[str], tmp_path: Path) -> subprocess.Popen[str]:
    """A process on one host, where /dev/shm, TMPDIR and `tmp_path`/disk are the host's own."""
    temporary, disk = tmp_path / host, tmp_path / "disk"
    for folder in (temporary, disk):
        folder.mkdir(exist_ok=True)
    private = f'mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs {disk} && exec "$@"'
    store = {"S3_ENDPOINT_URL": f"http://{MASTER}:{STORE_PORT}", "AWS_DEFAULT_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    own = {"GLOO_SOCKET_IFNAME": HOSTS[host][0], "TMPDIR": str(temporary)}
    return subprocess.Popen(
        ["ip", "netns", "exec", host, "unshare", "-m", "bash", "-c", private, "host", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **store, **keys, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def store(hosts: None, tmp_path: Path) -> Iterator[str]:
    """URL of a bucket that both hosts reach."""
    serve = [sys.executable, "-m", "moto.server", "-H", MASTER, "-p", str(STORE_PORT)]
    server = start("medlm-a", serve, tmp_path)
    make = "import boto3, os; s3 = boto3.client('s3', endpoint_url=os.environ['S3_ENDPOINT_URL']); "
    wait = "\nfor _ in range(50):\n try: s3.create_bucket(Bucket='runs'); break\n except Exception: time.sleep(0.2)"
    maker = start(
        "medlm-b", [sys.executable, "-c", f"import time; {make}{wait}\ns3.head_bucket(Bucket='runs')"], tmp_path
    )
    assert maker.wait(60) == 0, maker.communicate()[0]
    yield "s3://runs/run"
    server.kill()
    server.communicate()


@pytest.mark.thorough
def test_two_hosts_with_a_disk_each_train_like_one_and_leave_a_whole_copy(
    store: str, trained: Path, line: Path, tmp_path: Path
) -> None:
    arguments = train_arguments(line, tmp_path / "disk" / "run", f"save_folder={store}")
    launches = [start(host, [*COMPOSER, str(rank), *MEETING, *arguments], tmp_path) for rank, host in enumerate(HOSTS)]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in launches]
    finally:
        for process in launches:
            process.kill()
    assert [process.returncode for process in launches] == [0, 0], "\n".join(outputs)
    copy = tmp_path / "copy"
    fetch = f"m = Mirror(Path({str(copy)!r}), {store!r}); m.fetch_run(); print(choose_start(m.run, m))"
    imports = "from medlm_recipes.training.resume import *"
    fetched = start("medlm-b", [sys.executable, "-c", f"{imports}; {fetch}"], tmp_path)
    assert f"tok{STEPS * STEP_TOKENS}" in fetched.communicate(timeout=60)[0]
    newest = copy / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"
    assert not damaged_files(newest) and (newest / "__1_0.distcp").is_file()
    pairs = list(zip(read_rows(trained / "metrics.jsonl"), read_rows(copy / "metrics.jsonl"), strict=True))
    assert len(pairs) > 40
    assert max(abs(one["loss"] - two["loss"]) for one, two in pairs) < 1e-5
