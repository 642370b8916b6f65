"""The verb fetch_corpus: a folder of verified raw files, which every further run completes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.config.loading import resolved
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.file_table import TABLE, FileTable
from medlm_recipes.fetching.folder import FILLED_FROM, STAGE, check_folder, check_space, filling
from medlm_recipes.fetching.pmc import ArticlesSource, ClassicSource
from medlm_recipes.fetching.pubmed import PubmedSource
from medlm_recipes.fetching.source import Job, Outcome, Source
from medlm_recipes.fetching.threads import in_threads
from medlm_recipes.fetching.transport import FetchError, Transport
from medlm_recipes.manifest import Manifest, decisive
from medlm_recipes.progress import track

_IN_A_ROW = 20  # files that fail one after another before the server is given up
_NAMED = 5  # failures that the message tells in full


def fetch_corpus(config: FetchConfig, dry_run: bool) -> None:
    """Fetch what `config.out` lacks of a source, verify all of it, and write its list and manifest.

    Files that stand there and are right are kept, others are left alone. Raises DataError when the source
    cannot be listed, the disk is too small, or files could not be fetched, which are named: the others
    stay, and the next run goes on from there.
    """
    out = Path(config.out)
    filled_from = {"source": config.source, **({"dataset": config.hub.dataset} if config.source == "hub" else {})}
    check_folder(out, filled_from)
    headers = _hub_headers() if config.source == "hub" else {}
    with TemporaryDirectory() as lists, Transport(config.retry, config.connections, headers) as transport:
        source = _open_source(config, transport, Path(lists))
        print(source.what, flush=True)
        check_space(out, _describe_missing(source, out))
        if dry_run:
            return
        with filling(out, filled_from):
            _fetch(config, source, transport, {FILLED_FROM: filled_from})


def _hub_headers() -> dict[str, str]:
    from medlm_recipes.fetching.hub import hub_headers

    return hub_headers()


def _open_source(config: FetchConfig, transport: Transport, lists: Path) -> Source:
    """What `source` selects, its listing read. lists: for the listing's own files."""
    if config.source == "pubmed":
        return PubmedSource(config, transport, lists)
    if config.source == "pmc_oa":
        return (ArticlesSource if config.pmc.layout == "articles" else ClassicSource)(config, transport, lists)
    from medlm_recipes.fetching.hub import HubSource  # imports huggingface_hub

    return HubSource(config, transport, lists)


def _describe_missing(source: Source, out: Path) -> int:
    """Say what is there and what is missing; returns the missing bytes, as far as the listing tells them."""
    missing = size = unknown = 0
    for job in source.jobs():
        if not (out / job.name).is_file():
            missing += 1
            unknown += job.bytes is None
            size += job.bytes or 0
    sizes = f"{unknown:,} of them of unknown size" if unknown else f"about {size:,} bytes"
    print(
        f"{out}: {source.count - missing:,} are there, {missing:,} are missing{f', {sizes}' if missing else ''}",
        flush=True,
    )
    return size


@dataclass
class _Results:
    """What became of the jobs. not_wanted, notes: counts by what they say."""

    failed: list[FetchError] = field(default_factory=list)
    not_wanted: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def _fetch(config: FetchConfig, source: Source, transport: Transport, facts: dict[str, object]) -> None:
    out = Path(config.out)
    try:
        with FileTable(out, source.endings) as table:
            results = _run(config, source, transport, table)
            if results.failed:
                raise _failure(out, source, results.failed)
            table.finish()
            source.finish(out)
        facts |= {**source.facts, **table.facts(), "not_wanted": dict(sorted(results.not_wanted.items()))}
        decides = decisive(resolved(config), leave_out=("out", "connections", "retry"))
        Manifest(STAGE, decides, {TABLE: table.sha256}, facts).write(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error}); what was fetched is kept") from None
    print("\n".join(_summary(out, table, results)), flush=True)


def _run(config: FetchConfig, source: Source, transport: Transport, table: FileTable) -> _Results:
    out, results, in_a_row = Path(config.out), _Results(), 0

    def do(job: Job) -> tuple[Job, Outcome | FetchError]:
        try:
            return job, source.fetch(job, out)
        except FetchError as error:
            return job, error

    outcomes = in_threads(do, source.jobs(), config.connections, transport.stop)
    for job, outcome in track(outcomes, "fetching", "file", source.count):
        if isinstance(outcome, FetchError):
            results.failed.append(outcome)
            in_a_row += 1
            if in_a_row == _IN_A_ROW:
                break
            continue
        in_a_row = 0
        results.notes.update(outcome.notes)
        results.not_wanted.update([outcome.not_wanted] if outcome.not_wanted else [])
        table.visit(job.name)
        for file in outcome.files:
            table.add(file)
    outcomes.close()
    return results


def _failure(out: Path, source: Source, failed: list[FetchError]) -> DataError:
    more = f"\n  and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
    given_up = f"; given up after {_IN_A_ROW} in a row" if len(failed) >= _IN_A_ROW else ""
    lines = "".join(f"\n  {error}" for error in failed[:_NAMED])
    return DataError(
        f"{out}: {len(failed):,} of {source.count:,} could not be fetched{given_up}; the others are kept, "
        f"and the same command fetches what is missing{lines}{more}"
    )


def _summary(out: Path, table: FileTable, results: _Results) -> Iterator[str]:
    for what, count in sorted(results.not_wanted.items()):
        yield f"not wanted: {count:,} {what}"
    for what, count in sorted(results.notes.items()):
        yield f"notice: {count:,} {what}"
    if table.others:
        yield (
            f"notice: {table.others:,} other files among them, like {table.other}: the server does not list them any "
            "more, or this recipe does not choose them; prepare_corpus reads them all the same"
        )
    yield f"{out}: {table.new:,} files fetched, {table.files - table.new:,} kept, all verified, {table.bytes:,} bytes"
