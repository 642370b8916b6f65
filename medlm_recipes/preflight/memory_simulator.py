"""Simulated ranks by a process of their own, and what they amount to at any depth."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import Any, Self

from medlm_recipes.errors import ConfigError
from medlm_recipes.preflight.memory_extrapolation import DEPTHS, Kinds, Peak, Place, by_place, largest, straight
from medlm_recipes.preflight.memory_setup import RankSetup


class SimulationError(Exception):
    """The simulation cannot run here, or not of this model; the closed form remains."""


@dataclass(frozen=True)
class RankMemory:
    """A simulated rank: depth and parameters of the whole model, and what each place of its step holds at most."""

    depth: int
    parameters: int
    places: dict[Place, Kinds]

    @property
    def peak(self) -> Peak:
        return largest(self.places, self.depth)

    def phases(self) -> dict[str, Peak]:
        """The peak of each phase of the step, in the order in which they run."""
        names = dict.fromkeys(phase for phase, _, _ in self.places)
        return {
            name: largest({place: kinds for place, kinds in self.places.items() if place[0] == name}, self.depth)
            for name in names
        }

    def moved(self, before: "RankMemory", after: "RankMemory") -> "RankMemory":
        """This memory changed, place by place, as `before` was to become `after`."""
        common = self.places.keys() & before.places.keys() & after.places.keys()
        places = {
            place: {
                kind: value + after.places[place][kind] - before.places[place][kind]
                for kind, value in self.places[place].items()
            }
            for place in common
        }
        return RankMemory(self.depth, self.parameters, places)


class Simulator:
    """Answers for setups; a context manager around the process, which is started with the first question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._log = tempfile.TemporaryFile("w+")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._log.close()

    def memory(self, setup: RankSetup) -> RankMemory:
        """What the rank holds; of a model deeper than DEPTHS[1] blocks as a line through two shallower ones.

        Raises ConfigError for a model that cannot be built, SimulationError for one that cannot be simulated.
        """
        deep = self._ask(setup, DEPTHS[1])
        if deep["depth"] <= DEPTHS[1]:
            return _whole(deep)
        shallow = self._ask(setup, DEPTHS[0])
        places = straight(_whole(shallow).places, _whole(deep).places, DEPTHS, deep["depth"])
        return RankMemory(deep["depth"], deep["parameters"], places)

    def operators(self, setup: RankSetup) -> dict[str, float]:
        """operators.Counts of a micro-batch, of a model deeper than DEPTHS[1] blocks as a line through two shallower.

        Raises as `memory` does.
        """
        deep = self._ask(setup, DEPTHS[1], "operators")
        blocks, counts = deep["counted_depth"], deep["counts"]
        if deep["depth"] == blocks:
            return counts
        less = self._ask(setup, DEPTHS[0], "operators")["counts"]
        steps = (deep["depth"] - blocks) / (blocks - DEPTHS[0])
        return {name: count + steps * (count - less[name]) for name, count in counts.items()}

    def _ask(self, setup: RankSetup, depth: int, task: str = "memory") -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin and process.stdout
        try:
            print(json.dumps({"setup": asdict(setup), "depth": depth, "task": task}), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"failed": self._last_words(process)}
        if "refused" in answer:
            raise ConfigError(answer["refused"])
        if "failed" in answer:
            raise SimulationError(answer["failed"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medlm_recipes.preflight.simulate_rank"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        return self._process

    def _last_words(self, process: subprocess.Popen[str]) -> str:
        code = process.wait()
        self._log.seek(0)
        words = self._log.read().strip().splitlines()
        return f"the simulating process ended with {code}" + (f": {words[-1]}" if words else "")


def _whole(answer: dict[str, Any]) -> RankMemory:
    depth = answer["simulated_depth"]
    peaks = [(phase, module, kinds) for phase, module, kinds in answer["peaks"]]
    return RankMemory(depth, answer["parameters"], by_place(peaks, answer["blocks"], depth))
