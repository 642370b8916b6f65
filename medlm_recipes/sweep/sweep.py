"""The sweep verb: token budgets of one or several runs, trained, scored and compared."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medlm_recipes.callbacks.metrics import FILE_NAME as METRICS
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.errors import DataError, RecipeError
from medlm_recipes.evaluation.results import RESULTS
from medlm_recipes.manifest import Manifest, hash_file, publish, read_manifest, write_json
from medlm_recipes.sweep.launching import launch_missing
from medlm_recipes.sweep.plan import SweepPlan, plan_sweep
from medlm_recipes.sweep.points import DATA, Target
from medlm_recipes.sweep.slurm import write_jobs
from medlm_recipes.sweep.standing import look, note_gaps
from medlm_recipes.sweep.table import describe
from medlm_recipes.sweep.targets import targets

if TYPE_CHECKING:
    from medlm_recipes.sweep.collect import Sweep

GAPS = "gaps"


def sweep(config: SweepConfig, dry_run: bool) -> None:
    """Train and evaluate what is missing, each in its own process, and publish the comparison.

    Writes sweep.json, report.html and its figures as PNG. What is there is not made again.
    Raises ConfigError or DataError for unfit recipes, runs or results, and RecipeError, once the report
    stands, when launches failed that it shows as gaps; a rerun tries those again.
    """
    plan = plan_sweep(config)
    foretold = targets(plan)  # these two before hours of training, not after
    for folder in config.compare:
        read_manifest(folder, "sweep")
    print(describe(plan, [look(plan, series) for series in plan.series]), flush=True)
    if dry_run:
        return
    if config.launch == "slurm":
        write_jobs(plan)
        return
    if config.launch == "local":
        launch_missing(plan)
    for series in plan.series:
        note_gaps(series, look(plan, series))
    _publish(plan, foretold)
    if gaps := _gaps(plan):
        listed = "".join(f"\n  {where}: {why}" for where, why in gaps.items())
        raise RecipeError(
            f"{config.out}: the report has {len(gaps)} gaps; mend what stands above and run the sweep again, which "
            f"tries these again:{listed}"
        )


def _publish(plan: SweepPlan, foretold: list[Target]) -> None:
    from medlm_recipes.sweep.collect import collect  # scipy and matplotlib: a second
    from medlm_recipes.sweep.report import REPORT, summary_table, write_report

    compared = collect(plan, foretold)
    out = Path(plan.config.out)
    manifest = _manifest(plan, compared, foretold)
    _make_way(out, manifest)
    with publish(out, manifest) as folder:
        if folder is not None:
            write_json(folder / DATA, asdict(compared))
            write_report(compared, folder)
    print(summary_table(compared))
    print((out / REPORT).resolve(), flush=True)


def _gaps(plan: SweepPlan) -> dict[str, str]:
    """Budget, or evaluation of it -> why it is missing."""
    found = {}
    for series in plan.series:
        for leg in series.legs:
            where = f"{series.name} tok{leg.tokens}"
            if leg.problem:
                found[where] = leg.problem
            found |= {f"{where} {name}": why for name, why in leg.unscored.items() if not leg.problem}
    return found


def _make_way(out: Path, manifest: Manifest) -> None:
    """Remove an earlier report of the same sweep that had gaps, unless it is what would be written again."""
    try:
        old = read_manifest(out, manifest.stage)
    except DataError:
        return  # none, or no report of ours: for publish to judge
    if old.facts.get(GAPS) and old.config == manifest.config and old.__dict__ != manifest.__dict__:
        shutil.rmtree(out)


def _manifest(plan: SweepPlan, compared: "Sweep", foretold: list[Target]) -> Manifest:
    read = {}
    for series in plan.series:
        if series.trunk:
            read[f"{series.name} trunk"] = series.trunk / METRICS
        for leg in series.legs:
            read[f"{series.name} tok{leg.tokens}"] = leg.run / METRICS
            read |= {f"{series.name} tok{leg.tokens} {name}": out / RESULTS for name, out in leg.evaluations.items()}
    read |= {f"compared {number}": Path(folder) / DATA for number, folder in enumerate(plan.config.compare, 1)}
    return Manifest(
        stage="sweep",
        config={
            "gain_enough": plan.config.gain_enough,
            "forecast": [asdict(target) for target in foretold],
            "design": plan.config.design,
            "budgets": {series.name: [leg.tokens for leg in series.legs] for series in plan.series},
            "train": compared.train,
            "evaluate": compared.evaluate,
        },
        inputs={name: hash_file(path) if path.is_file() else "absent" for name, path in read.items()},
        facts={"summary": [*compared.recommendation, *compared.summary], GAPS: _gaps(plan)},
    )
