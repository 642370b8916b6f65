"""The report as one page that needs no other file and asks the network for nothing."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.preflight.report import (
    Report,
    beside,
    counted,
    in_bytes,
    in_days,
    in_gib,
    largest,
    settings,
    where,
)
from medlm_recipes.token_math import in_words

PAGE = "preflight.html"

# Okabe and Ito's colours, which colour-blind readers tell apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")


@dataclass(frozen=True)
class Part:
    """A piece of a bar, as a share of its length."""

    name: str
    share: float
    said: str
    colour: str


@dataclass(frozen=True)
class Tile:
    name: str
    value: str
    more: str


def page_of(config: TrainConfig, report: Report) -> str:
    environment = Environment(
        loader=PackageLoader("medlm_recipes", "preflight"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "gib": in_gib,
        "settings": settings,
        "words": in_words,
        "words_from": lambda start: f"From {in_words(start)} on, " if start else "",
    }
    run = report.run
    on = f"{run.ranks} x {run.device}" if run.device else "no cluster"
    size = f", {in_words(run.parameters)} parameters" if run.parameters else ""
    return environment.get_template(f"{PAGE}.jinja").render(
        report=report,
        title=f"{config.model.pretrained or config.model.name}{size}, on {on}",
        counts=report.verdict.partition(": ")[2],
        tiles=_tiles(config, report),
        memory_parts=_memory_parts(report),
        told=_memory_told(report),
        time_parts=_time_parts(report),
        storage=_storage(report),
        curve=_curve(report.rates, config.optimizer.lr),
        peak=config.optimizer.lr,
    )


def _tiles(config: TrainConfig, report: Report) -> list[Tile]:
    memory, time, data = report.memory, report.time, report.data
    tiles = []
    if memory:
        used = f"{in_gib(memory.peak.total)} of {in_gib(memory.usable)} a GPU at the peak"
        tiles.append(Tile("Memory", memory.verdict.word, used))
    else:
        tiles.append(Tile("Memory", "not known", report.missing["memory"]))
    if time:
        tiles.append(Tile("Time", in_days(time.seconds), f"{in_days(time.low)} to {in_days(time.high)}"))
        energy = f"{time.kwh / 1000:,.1f} MWh at most"
        price = config.preflight.price_per_gpu_hour
        cost = f"{time.cost:,.0f} at {price:g} a GPU-hour" if time.cost else "no price given"
        tiles.append(Tile("Cost", f"{time.gpu_hours:,.0f} GPU-hours", f"{cost}; {energy}"))
    else:
        tiles.append(Tile("Time", "not estimated", report.missing["time"]))
    if data.passes is None:
        tiles.append(Tile("Data", "not known", "no shards yet"))
    else:
        most = max(source.epochs for source in data.sources)
        tiles.append(Tile("Data", f"{data.passes:.2f} passes", f"no source more than {most:.2f} times"))
    return tiles


def _memory_parts(report: Report) -> list[Part]:
    """The peak by kind, and what is left; shares are of what is usable, or of the peak where that is more."""
    memory = report.memory
    if memory is None:
        return []
    whole = max(memory.peak.total, memory.usable or 0)
    parts = [
        Part(name, size / whole, in_gib(size), colour)
        for (name, size), colour in zip(memory.peak.kinds.items(), _COLOURS, strict=False)
        if size >= 0.001 * whole
    ]
    if memory.usable and memory.usable > memory.peak.total:
        left = memory.usable - memory.peak.total
        parts.append(Part("free", left / whole, in_gib(left), "#dfe4e8"))
    return parts


def _memory_told(report: Report) -> list[str]:
    memory = report.memory
    if memory is None:
        return []
    told = [
        f"{memory.verdict.reason}. Most is held {where(memory.peak)}, by {memory.method}{beside(memory)}.",
    ]
    if memory.largest_micro_batch is not None:
        told.append(f"A {largest(memory.largest_micro_batch, memory.largest_even_micro_batch)}.")
    return told + [f"{note}." for note in memory.notes]


def _time_parts(report: Report) -> list[Part]:
    if report.time is None:
        return []
    shown = [(name, share) for name, share in report.time.parts.items() if share >= 0.001]
    return [Part(name, share, f"{share:.0%}", colour) for (name, share), colour in zip(shown, _COLOURS, strict=False)]


def _storage(report: Report) -> str:
    said = []
    if disk := report.disk:
        said.append(
            f"{counted(disk.saved, 'checkpoint')} of {in_bytes(disk.checkpoint)} each, {disk.standing} at once at "
            f"most: {in_bytes(disk.needed)} of disk."
        )
        if disk.shards:
            said.append(f"The shards take {in_bytes(disk.shards)} unpacked.")
    if report.host_bytes:
        said.append(f"While weights are read they take {in_bytes(report.host_bytes)} of a host's memory.")
    if load := report.loading:
        said.append(
            f"Each host's dataloaders must deliver {load.tokens:,.0f} tokens ({load.rows:,.0f} rows, "
            f"{load.bytes / 1e6:,.1f} MB) a second."
        )
    return " ".join(said)


def _curve(rates: list[float], peak: float) -> str:
    """Points of the learning rate in the coordinates of the page's figure."""
    last = len(rates) - 1
    return " ".join(
        f"{62 + 528 * number / last:.1f},{205 - 190 * rate / peak:.1f}" for number, rate in enumerate(rates)
    )
