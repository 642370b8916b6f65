"""A sweep's missing launches as jobs of a Slurm cluster, for submit.sh to hand in."""

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from medlm_recipes.config.loading import to_yaml
from medlm_recipes.config.sweep import SlurmKeys
from medlm_recipes.sweep.jobs import RECIPES, Job, missing_jobs
from medlm_recipes.sweep.plan import SweepPlan

SUBMIT = "submit.sh"
_REPORT = "report"


@dataclass(frozen=True)
class _Batch:
    """One .sbatch file. gpus: of each node; launched: by composer, a launcher a node. needs: names of other files."""

    name: str
    what: str
    nodes: int
    gpus: int
    cpus: int
    time: str
    launched: bool
    arguments: str
    needs: tuple[str, ...]


def write_jobs(plan: SweepPlan) -> None:
    """Write <out>.slurm/: a .sbatch for every launch that is missing and for the report, and submit.sh.

    Each job waits for the end, good or bad, of those that it needs: one whose start is not there then
    refuses at once, and the report shows it as a gap.
    """
    out = Path(plan.config.out)
    folder = out.with_name(out.name + ".slurm").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUBMIT).unlink(missing_ok=True)  # written last: a folder that has it is whole
    for stale in folder.glob("*.sbatch"):
        stale.unlink()
    keys = plan.config.slurm
    batches = [_batch(job, keys) for series in plan.series for job in missing_jobs(plan, series)]
    recipe = folder / "sweep.yaml"
    recipe.write_text(to_yaml(replace(plan.config, launch="none")))
    batches.append(_report(recipe, keys, tuple(batch.name for batch in batches)))
    environment = Environment(
        loader=PackageLoader("medlm_recipes", "sweep"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  shell, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = shlex.quote
    given = {"keys": keys, "folder": folder, "here": Path.cwd(), "bin": Path(sys.executable).parent, "out": out}
    index = {batch.name: number for number, batch in enumerate(batches, 1)}
    for batch in batches:
        text = environment.get_template("job.sbatch.jinja").render(batch=batch, **given)
        (folder / f"{batch.name}.sbatch").write_text(text)
    (folder / SUBMIT).write_text(
        environment.get_template(f"{SUBMIT}.jinja").render(batches=batches, index=index, **given)
    )
    print(f"{len(batches)} jobs written; hand them in with: bash {shlex.quote(str(folder / SUBMIT))}", flush=True)


def _batch(job: Job, keys: SlurmKeys) -> _Batch:
    nodes = max(1, job.ranks // keys.gpus_per_node)
    gpus = min(job.ranks, keys.gpus_per_node)
    return _Batch(
        name=job.name,
        what=job.what,
        nodes=nodes,
        gpus=gpus,
        cpus=max(1, keys.cpus_per_node * gpus // keys.gpus_per_node),
        time=keys.time if job.run else keys.evaluate_time,
        launched=job.is_launched,
        arguments=shlex.join(job.arguments),
        needs=job.needs,
    )


def _report(recipe: Path, keys: SlurmKeys, needs: tuple[str, ...]) -> _Batch:
    arguments = shlex.join([str(RECIPES / "sweep.py"), str(recipe)])
    return _Batch(_REPORT, "report of all budgets", 1, 0, 1, keys.evaluate_time, False, arguments, needs)
