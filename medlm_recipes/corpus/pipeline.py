"""prepare_corpus: raw files to documents with a split, rejects with their reasons, and a manifest."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from medlm_recipes.checksums import verified_sha256
from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.config.fields import did_you_mean
from medlm_recipes.config.loading import resolved
from medlm_recipes.corpus.cleaning.lookups import Lookups, check_lookups, lookup_files, make_lookups
from medlm_recipes.corpus.deduplication import Deduplication
from medlm_recipes.corpus.formats import FORMATS, find_inputs
from medlm_recipes.corpus.inputs import InputFile, grouped
from medlm_recipes.corpus.jsonl import sample_fraction, text_bytes
from medlm_recipes.corpus.outputs import REJECTED
from medlm_recipes.corpus.overlap_report import OverlapReport, summary
from medlm_recipes.corpus.prepared import check_folders
from medlm_recipes.corpus.pubmed_revisions import Scan, out_of_date, scan
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.corpus.writing import Task, drop_leftovers, write_task
from medlm_recipes.errors import DataError
from medlm_recipes.execution.processes import in_processes
from medlm_recipes.execution.tasks import require_executor, run_tasks
from medlm_recipes.manifest import Manifest, decisive, publish
from medlm_recipes.partial import TASKS
from medlm_recipes.progress import track


def prepare_corpus(config: CorpusConfig, dry_run: bool) -> None:
    """Write the documents of `config.inputs` to `config.out`.

    Output does not depend on `config.execution`. A killed or failed run leaves `<out>.partial`, from
    which the next one continues. Raises DataError for missing or damaged inputs, an
    empty corpus, or an `out` that holds something else; then nothing stands under `out`.
    """
    require_executor(config.execution)
    files = find_inputs(config)
    if config.format == "documents":
        check_folders(files, config)
    beside = lookup_files(config.clean)
    if dry_run:
        _check_and_describe(config, files)
        check_lookups(beside)
        return
    hashed = in_processes(_with_digest, [*files, *(file for _, file in beside)], config.execution.local_workers)
    every = list(track(hashed, "hashing inputs", "file", len(files) + len(beside)))
    files, beside = every[: len(files)], list(zip((kind for kind, _ in beside), every[len(files) :], strict=True))
    manifest = Manifest(
        stage="prepare_corpus",
        config=_decisive(config),
        inputs={file.name: file.digest for file in files}
        | {f"{kind}: {file.name}": file.digest for kind, file in beside},
    )
    # Every task knows its inputs by their hashes: after one was mended, the others' work still counts.
    with publish(config.out, manifest, begun_from={"config": manifest.config}) as folder:
        if folder is None:
            return
        lookups = make_lookups(beside, config.clean, folder / TASKS / "lookups")
        tally, manifest.facts = _write(config, files, lookups, folder)
    print("\n".join([*tally.summary(), *summary(manifest.facts, config.clean)]))
    _notice_unknown_sources(config, {source for _, source in tally.sizes})
    if tally.rejected:
        print(f"rejected records with their reasons: {config.out}/{REJECTED}/")
    print(f"{config.out}: done")


def _write(
    config: CorpusConfig, files: Sequence[InputFile], lookups: Lookups, folder: Path
) -> tuple[Tally, dict[str, Any]]:
    """Write the documents; what became of them, and the manifest's facts."""
    tally = Tally()
    facts: dict[str, Any] = {}
    if config.sample_tokens is not None:
        config = _with_fraction(config, files, folder)
    tasks = _tasks(config, files, lookups, folder)
    if config.clean.duplicates or config.clean.near_duplicates:
        deduplication = Deduplication(tasks, config.clean, config.execution)
        written = deduplication.run()
        tally.add(deduplication.tally)
        facts["identified_by"] = deduplication.pairs
    else:
        tallies = run_tasks(write_task, tasks, config.execution, folder, "write")
        written = track(tallies, "writing documents", "part", len(tasks))
    report = OverlapReport(lookups, config.clean)
    for part in written:
        tally.add(part.tally)
        report.add(part.runs_seen)
    drop_leftovers(folder, set(tally.files))
    if not tally.written:
        raise DataError(f"no document in {len(files):,} input files: {tally.outcome()}; nothing was written")
    facts |= report.write(folder, len(tasks))
    return tally, tally.facts() | facts


def _notice_unknown_sources(config: CorpusConfig, sources: Collection[str]) -> None:
    """What the recipe says of a source that no document has may be a slip of the pen."""
    upsampled = config.clean.upsample.sources if config.clean.upsample else []
    for key, named in (
        ("validation_fractions", list(config.validation_fractions)),
        ("clean.prefer", config.clean.prefer),
        ("clean.upsample.sources", upsampled),
    ):
        for name in named:
            if name not in sources:
                print(f"notice: {key} names {name}, a source that no document has{did_you_mean(name, sources)}")


def _decisive(config: CorpusConfig) -> dict[str, Any]:
    """The config without paths: the files that it names are among the inputs, with their hashes."""
    decides = decisive(resolved(config), leave_out=("inputs", "out", "execution"))
    for step, names in (("decontaminate", ("against",)), ("upsample", ("journals", "citations"))):
        if decides["clean"][step]:
            decides["clean"][step] = decisive(decides["clean"][step], leave_out=names)
    return decides


def _tasks(config: CorpusConfig, files: Sequence[InputFile], lookups: Lookups, folder: Path) -> list[Task]:
    # Tasks are known again by what they hold, and where they run changes nothing.
    keys, config = config.execution, replace(config, execution=ExecutionKeys())
    groups = grouped(files, FORMATS[config.format].files_per_output)
    tasks = [Task(number, group, folder, config, lookups) for number, group in enumerate(groups)]
    if config.format != "pubmed_xml":
        return tasks
    scans = run_tasks(_scan, files, keys, folder, "scan")
    leave_out = out_of_date(list(track(scans, "finding revisions and deletions", "file", len(files))))
    return [replace(task, leave_out=leave_out[task.number]) for task in tasks]


def _scan(file: InputFile) -> Scan:
    return scan(file.path)


def _with_fraction(config: CorpusConfig, files: Sequence[InputFile], folder: Path) -> CorpusConfig:
    """The config with the share of records that `sample_tokens` asks for, which takes a pass over the inputs."""
    measured = replace(config, execution=ExecutionKeys())
    counts = run_tasks(text_bytes, [(file, measured) for file in files], config.execution, folder, "measure")
    total = sum(track(counts, "measuring texts", "file", len(files)))
    fraction = sample_fraction(config, total)
    print(
        f"inputs hold {total:,} bytes of text, about {total / config.bytes_per_token:,.0f} tokens: "
        + (f"sampling {fraction:.4%} of the records" if fraction < 1 else "all are kept")
    )
    return replace(config, sample_fraction=fraction)


def _with_digest(file: InputFile) -> InputFile:
    if file.digest:
        return file
    try:
        return replace(file, digest=verified_sha256(file.path))
    except OSError as error:
        raise DataError(f"{file.path}: cannot be read ({error.strerror})") from None


def _check_and_describe(config: CorpusConfig, files: Sequence[InputFile]) -> None:
    """Read the first record of every file, so that a wrong or unreadable one is found now."""
    read = FORMATS[config.format].read
    total = 0
    for file in track(files, "checking the first record of", "file", len(files)):
        for _ in islice(read(file, config, {}), 1):
            pass
        total += file.path.stat().st_size if not file.digest else 0
    sources = FORMATS[config.format].sources(config, files)
    print(
        f"{config.format}: {len(files):,} files, {total:,} bytes\n"
        f"{config.validation_fraction:.2%} of the documents go to validation, by seed {config.seed}\n"
        f"cleaning: {', '.join(config.clean.steps()) or 'none'}\n"
        f"would write {config.out}/{{train,validation}}/{{{','.join(sources)}}}/, {REJECTED}/ and manifest.json"
    )
