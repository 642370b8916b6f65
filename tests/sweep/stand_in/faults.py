"""What goes wrong in a stand-in's launch: lines `name=fault` of $STAND_IN/faults.txt. launches.txt has a line each."""

import os
import signal
import sys
import time
from pathlib import Path

from medlm_recipes.callbacks.events import append_event

FOLDER = Path(os.environ["STAND_IN"])


class Fault:
    """kill: the sweep, once, and live on; wait; stopped: leave, once, as a training that was told to; exit: with code
    1; diverge: what the divergence guard does at its end."""

    def __init__(self, name: str) -> None:
        with open(FOLDER / "launches.txt", "a") as stream:
            stream.write(name + "\n")
        given = (FOLDER / "faults.txt").read_text().split() if (FOLDER / "faults.txt").is_file() else []
        self.name = name
        self.kind = dict(line.split("=") for line in given).get(name)

    def strike(self, run: Path, tokens: int) -> None:
        """Called with the work half done."""
        struck = FOLDER / f"{self.name}.struck"
        if self.kind in ("kill", "stopped") and not struck.exists():
            struck.touch()
            if self.kind == "stopped":
                sys.exit(75)
            os.kill(os.getppid(), signal.SIGKILL)
            self.wait()
        if self.kind == "wait":
            self.wait()
        if self.kind == "exit":
            sys.exit(1)
        if self.kind == "diverge":
            row = {
                "step": 9,
                "tokens": tokens + 1,
                "kind": "loss_spike",
                "policy": "stop",
                "what": "mean loss 9 above 3",
            }
            append_event(run, row)
            sys.exit(2)

    def wait(self) -> None:
        time.sleep(60)
        (FOLDER / f"{self.name}.survived").touch()
