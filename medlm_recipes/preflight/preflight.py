"""The preflight verb: a train recipe and a cluster to a verdict before anything is rented."""

import shutil
from pathlib import Path

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish, read_manifest, write_json
from medlm_recipes.models.shape import shape_of
from medlm_recipes.preflight.base import blocks_of_base, read_base
from medlm_recipes.preflight.check import NOT_CHECKED, Check
from medlm_recipes.preflight.checks import check_memory, checks_of
from medlm_recipes.preflight.data import check_data, data_use, disk_of, host_bytes, loading_of, validation_share
from medlm_recipes.preflight.facts import SHARDS, Facts, gather
from medlm_recipes.preflight.gate import is_simulated
from medlm_recipes.preflight.memory import MemoryReport, memory_report
from medlm_recipes.preflight.memory_setup import setup_of
from medlm_recipes.preflight.memory_simulator import SimulationError, Simulator
from medlm_recipes.preflight.rehearsal import rehearse
from medlm_recipes.preflight.report import Report, as_text, rates_of, run_of, schedule_of
from medlm_recipes.preflight.time import TimeEstimate, estimate_time
from medlm_recipes.preflight.work import Blocks, blocks_of
from medlm_recipes.token_math import in_words
from medlm_recipes.training.plan import TrainPlan

DATA = "preflight.json"

_NOT_SIMULATED = "adapters and heads are not simulated, only the training of all weights of a language model"


def preflight(config: TrainConfig, dry_run: bool) -> None:
    """Print the report and publish it to `preflight.out`; a dry run writes nothing and rehearses nothing.

    Raises ConfigError when a check fails or the run does not fit, DataError when `preflight.out` holds
    something else than an earlier report.
    """
    out = Path(config.preflight.out)
    if not dry_run and out.exists():
        read_manifest(out, "preflight")  # so that nothing else is replaced
    report = examine(config, config.preflight.rehearse and not dry_run)
    print(as_text(report), flush=True)
    if not dry_run:
        _write(config, report)
    if report.failed:
        raise ConfigError("; ".join(f"{check.name}: {check.found}" for check in report.failed))


def examine(config: TrainConfig, rehearsed: bool) -> Report:
    """Everything that can be told of the recipe without an accelerator; `rehearsed`: with a rehearsal."""
    facts = gather(config)
    plan = facts.plan
    config = plan.config  # durations in tokens
    base = read_base(config.model, plan.sequence_length)
    blocks = blocks_of(config.model, plan.vocab_size, plan.sequence_length)
    if base and base.config and blocks is None:
        blocks = blocks_of_base(base.config, config.model, plan.vocab_size)
    shape = shape_of(config.model, plan.vocab_size, plan.sequence_length)
    parameters = shape.parameters if shape else blocks.parameters if blocks else None
    missing: dict[str, str] = {}
    with Simulator() as simulator:
        memory = _memory(config, facts, simulator, missing)
        time = _with_validation(config, plan, _time(config, facts, blocks, simulator, missing))
    use = data_use(facts)
    model = shape.words if shape else f"{config.model.pretrained}, {_size(parameters)}"
    return Report(
        run=run_of(config, facts, model, parameters),
        memory=memory,
        time=time,
        data=use,
        disk=disk_of(config, plan, parameters) if parameters else None,
        host_bytes=host_bytes(config, parameters) if parameters else None,
        loading=loading_of(config, plan, time.tokens_per_second) if time else None,
        schedule=schedule_of(config, plan),
        rates=rates_of(config, plan),
        checks=[
            check_memory(memory, missing.get("memory", "")),
            *facts.checks,
            *([base.check] if base else []),
            check_data(use, config.task),
            *checks_of(config, facts, parameters),
            _rehearsal(config, facts, rehearsed),
        ],
        missing=missing,
    )


def _rehearsal(config: TrainConfig, facts: Facts, wanted: bool) -> Check:
    if wanted:
        return rehearse(config, facts)
    return Check("rehearsal", NOT_CHECKED, "preflight.rehearse=true runs train on a tiny version of the recipe")


def _size(parameters: int | None) -> str:
    return f"about {parameters:,} parameters" if parameters else "whose size is not known here"


def _memory(config: TrainConfig, facts: Facts, simulator: Simulator, missing: dict[str, str]) -> MemoryReport | None:
    plan, device = facts.plan, config.hardware.device
    if not is_simulated(config):
        missing["memory"] = _NOT_SIMULATED
        return None
    if device is None or device == "cpu" or not facts.laid_out:
        missing["memory"] = "no GPU is named" if facts.laid_out else "the batch does not lie evenly on the ranks"
        return None
    known = plan.vocab_size, plan.sequence_length, plan.shards.facts["end_of_text"], facts.ranks
    try:
        return memory_report(config, *known, simulator)
    except (ConfigError, SimulationError) as error:
        missing["memory"] = str(error)
        return None


def _time(
    config: TrainConfig, facts: Facts, blocks: Blocks | None, simulator: Simulator, missing: dict[str, str]
) -> TimeEstimate | None:
    plan = facts.plan
    if not is_simulated(config):
        missing["time"] = _NOT_SIMULATED
        return None
    if not facts.laid_out:
        missing["time"] = "the batch does not lie evenly on the ranks"
        return None
    try:
        known = config, plan.vocab_size, plan.sequence_length, facts.ranks, plan.end - plan.start, blocks
        closed_form = estimate_time(*known)
        if config.parallel.tensor_parallel > 1:
            return closed_form.noting("operators by their closed form: tensor parallelism's parts are not counted")
        end_of_text = plan.shards.facts["end_of_text"]
        setup = setup_of(config, plan.vocab_size, plan.sequence_length, end_of_text, facts.ranks)
        return estimate_time(*known, simulator.operators(setup))
    except ConfigError as error:
        missing["time"] = str(error)
        return None
    except SimulationError as error:
        return closed_form.noting(f"operators by their closed form: they cannot be counted here ({error})")


def _with_validation(config: TrainConfig, plan: TrainPlan, time: TimeEstimate | None) -> TimeEstimate | None:
    if time is None or not plan.validation:
        return time
    times, tokens, share = validation_share(config, plan)
    return time.noting(f"validation, {times:,} times {in_words(tokens)} tokens, takes about {share:.1%} more")


def _write(config: TrainConfig, report: Report) -> None:
    """The report's folder, whole; an earlier report gives way to it."""
    from medlm_recipes.preflight.page import PAGE, page_of

    out = Path(config.preflight.out)
    inputs = {}
    if report.data.known_from == SHARDS:
        inputs["shards"] = hash_json(read_manifest(config.shards, "convert_text_to_mds").__dict__)
    manifest = Manifest("preflight", decisive(resolved(config), leave_out=("run",)), inputs)
    shutil.rmtree(out, ignore_errors=True)
    with publish(out, manifest) as folder:
        assert folder is not None
        write_json(folder / DATA, report.as_json())
        (folder / PAGE).write_text(page_of(config, report))
    print(f"{(out / PAGE).resolve()}", flush=True)
