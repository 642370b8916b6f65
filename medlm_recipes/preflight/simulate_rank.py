"""The throw-away process that simulates ranks: `python -m medlm_recipes.preflight.simulate_rank`.

A line of standard input is {"setup": RankSetup's fields, "depth": blocks to run or null, "task": "memory" or
"operators"}; the answer to each is a line of standard output: {"depth", "simulated_depth", "parameters",
"blocks", "peaks": [[phase, module, bytes by kind], ...]} or what operators.count returns, {"refused": ...} for
what the user can mend, or {"failed": ...}.
`memory_simulator.Simulator` is the other side. Nothing of it uses a GPU, and it must not see one.
"""

import json
import logging
import os
import sys
import warnings
from typing import Any, TextIO


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever libraries print is no answer
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from medlm_recipes.preflight.fake_cuda import FakeCudaError, fake_cuda

    try:
        with fake_cuda():
            for line in sys.stdin:
                _answer(answers, _simulated(json.loads(line)))
    except FakeCudaError as error:
        _answer(answers, {"failed": str(error)})


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def _simulated(task: dict[str, Any]) -> dict[str, Any]:
    from medlm_recipes.errors import RecipeError
    from medlm_recipes.preflight.memory_setup import RankSetup
    from medlm_recipes.preflight.memory_step import simulate
    from medlm_recipes.preflight.operators import count

    try:
        if task["task"] == "operators":
            return count(RankSetup(**task["setup"]), task["depth"])
        result = simulate(RankSetup(**task["setup"]), task["depth"])
    except RecipeError as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever a library does not simulate: the closed form stands in for it
        logging.exception("the simulation stopped")
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
    peaks = [[*place, kinds] for place, kinds in result.peaks.items()]
    return {
        "depth": result.depth,
        "simulated_depth": result.simulated_depth,
        "parameters": result.parameters,
        "blocks": result.blocks,
        "peaks": peaks,
    }


if __name__ == "__main__":
    main()
