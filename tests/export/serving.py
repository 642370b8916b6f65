"""An exported folder behind transformers' OpenAI-compatible server on this machine's CPU."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from launch import ROOT

STACK = ROOT / "build" / "serving"  # by make


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[str]:
    """The address of a server of `folder`, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.commands.transformers_cli", "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--force_model", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(STACK), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with open(log, "wb") as stream:
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert server.poll() is None, log.read_text()
            try:
                httpx.get(f"{address}/health", trust_env=False)
                break
            except httpx.ConnectError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def chat(address: str, folder: Path, question: str, tokens: int) -> str:
    """The text that the server streams to one question, without sampling."""
    request = {
        "model": str(folder),
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
    }
    said = ""
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=request, timeout=300, trust_env=False) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    said += choice["delta"].get("content") or ""
    return said
