"""An invented small world: its facts, PubMed-format files that state them, and questions that ask for them.

A model can know these facts from the files only, so its score shows how much it has learned from
them. Facts and benchmark depend on the seed and the number of drugs and diseases, never on the texts.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.world import MOST_NAMES, WorldConfig
from medlm_recipes.corpus.closed_world_questions import LETTERS, STEMS, one_question, write_examples
from medlm_recipes.corpus.closed_world_text import Citation, compose
from medlm_recipes.corpus.closed_world_xml import Record, write_file
from medlm_recipes.manifest import Manifest, decisive, publish, write_json
from medlm_recipes.progress import track

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
DRUG_ENDINGS = ["mab", "nib", "stat"]
# relation -> the kind of its object and the endings of that kind's names
RELATIONS = {
    "treats": ("disease", ["osis", "itis"]),
    "inhibits": ("enzyme", ["ase"]),
    "causes": ("symptom", ["algia", "emia"]),
}
FIRST_PMID = 90_000_001  # well above the real ones
YEAR = 26


@dataclass(frozen=True)
class World:
    """objects: relation -> names. facts: drug -> relation -> object."""

    seed: int
    objects: dict[str, list[str]]
    facts: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Update:
    """One update file: (PMID, version, revision) of what it revises, (PMID, version) of what it deletes."""

    revised: list[tuple[int, int, int]]
    deleted: list[tuple[int, int]]


def generate(config: WorldConfig, dry_run: bool) -> None:
    """Write the world, its files and its benchmark to `config.out`, or print their numbers only."""
    world = build_world(config)
    questions = build_benchmark(world)
    updates = plan_updates(config)
    facts: dict[str, Any] = {
        "facts": sum(len(of_drug) for of_drug in world.facts.values()),
        "questions": len(questions),
        "baseline_files": ceil(config.abstracts / config.citations_per_file),
        "update_files": len(updates),
        "abstracts": config.abstracts,
        "revisions": sum(len(update.revised) for update in updates),
        "deletions": sum(len(update.deleted) for update in updates),
    }
    for name, count in facts.items():
        print(f"{name.replace('_', ' ')}: {count:,}", flush=True)
    if dry_run:
        return
    manifest = Manifest("generate_closed_world", decisive(resolved(config), leave_out=["out"]), {}, facts)
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        write_json(folder / "world.json", asdict(world))
        (folder / "benchmark").mkdir()
        lines = [json.dumps(question) + "\n" for question in questions]
        (folder / "benchmark" / "test.jsonl").write_text("".join(lines))
        facts |= write_examples(
            folder / "finetune",
            world.facts,
            world.objects,
            config.finetune_share,
            config.finetune_times,
            _stream(world.seed, "finetune"),
        )
        # Of the XML, since gzip bytes also depend on the machine's zlib.
        facts["xml_sha256"] = _write_files(folder / "pubmed", config, world, updates)
    print(f"written: {config.out}", flush=True)


def build_world(config: WorldConfig) -> World:
    """The names and facts of the world; every object is some drug's, each about equally often."""
    rng = _stream(config.seed, "world")
    starts = [first + second for first in SYLLABLES for second in SYLLABLES]
    assert len(starts) == MOST_NAMES
    # Every name has a start of its own, so that none is the beginning of another.
    unused = iter(rng.sample(starts, config.drugs + 3 * config.diseases))
    # Capitalised everywhere, as brand names are: one name is then one word to the tokenizer.
    drugs = [next(unused).capitalize() + rng.choice(DRUG_ENDINGS) for _ in range(config.drugs)]
    objects = {
        relation: [next(unused) + rng.choice("lmnrt") + rng.choice(endings) for _ in range(config.diseases)]
        for relation, (_, endings) in RELATIONS.items()
    }
    facts: dict[str, dict[str, str]] = {drug: {} for drug in drugs}
    for relation, names in objects.items():
        for number, drug in enumerate(rng.sample(drugs, len(drugs))):
            facts[drug][relation] = names[number % len(names)]
    return World(config.seed, objects, facts)


def build_benchmark(world: World) -> list[dict[str, Any]]:
    """One question for every fact, in MedQA's four-option form; the answer continues the question after a space."""
    rng = _stream(world.seed, "benchmark")
    asked = [(drug, relation) for drug in world.facts for relation in RELATIONS]
    letters = [LETTERS[number % len(LETTERS)] for number in range(len(asked))]
    rng.shuffle(letters)
    return [
        one_question(STEMS[relation], drug, relation, world.facts[drug][relation], letter, world.objects[relation], rng)
        for (drug, relation), letter in zip(asked, letters, strict=True)
    ]


def plan_updates(config: WorldConfig) -> list[Update]:
    """What the update files change, in their order.

    A citation may be revised again, or deleted, by a file later than the one that revised it; a
    deleted one does not come back. Every fourth revision is a new version of its citation.
    """
    revisions = round(config.abstracts * config.revised_share)
    deletions = round(config.abstracts * config.deleted_share)
    if not revisions + deletions:
        return []
    rng = _stream(config.seed, "updates")
    alive = dict.fromkeys(pmids(config), (1, 0))  # PMID -> version, revision
    files = max(2, ceil(revisions / config.citations_per_file))
    updates = []
    for number in range(files):
        counts = [total * (number + 1) // files - total * number // files for total in (revisions, deletions)]
        touched = rng.sample(list(alive), sum(counts))
        revised, deleted = sorted(touched[: counts[0]]), sorted(touched[counts[0] :])
        for pmid in revised:
            version, revision = alive[pmid]
            alive[pmid] = (version + (rng.random() < 0.25), revision + 1)
        updates.append(
            Update([(pmid, *alive[pmid]) for pmid in revised], [(pmid, alive.pop(pmid)[0]) for pmid in deleted])
        )
    return updates


def pmids(config: WorldConfig) -> range:
    return range(FIRST_PMID, FIRST_PMID + config.abstracts)


def citation(world: World, pmid: int, revision: int) -> Citation:
    """The text of a citation; its revisions state the same facts in other words."""
    return compose(world.facts, _stream(world.seed, "facts", pmid), _stream(world.seed, "wording", pmid, revision))


def _write_files(folder: Path, config: WorldConfig, world: World, updates: list[Update]) -> dict[str, str]:
    folder.mkdir()
    every, size = pmids(config), config.citations_per_file
    files: list[Update] = [
        Update([(pmid, 1, 0) for pmid in every[start : start + size]], []) for start in range(0, len(every), size)
    ]
    files += updates
    hashes = {}
    for number, update in enumerate(track(files, "closed world", "file", len(files)), 1):
        path = folder / f"pubmed{YEAR}n{number:04}.xml.gz"
        hashes[path.name] = write_file(path, _records(world, update), update.deleted)
    return hashes


def _records(world: World, update: Update) -> Iterator[Record]:
    for pmid, version, revision in update.revised:
        yield Record(pmid, version, revision, citation(world, pmid, revision))


def _stream(*parts: str | int) -> Random:
    """Random numbers of their own for every purpose, so that one purpose never shifts another."""
    return Random("/".join(map(str, parts)))  # noqa: S311 (invented texts, no secrets)
