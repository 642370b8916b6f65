"""Keys of generate_closed_world."""

from collections.abc import Iterator
from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, within

MOST_NAMES = 4_900  # every name starts with two syllables of its own, out of 70
MOST_FILES = 9_999  # NLM's file names count in four digits


@dataclass
class WorldConfig:
    out: str = key("folder to write: pubmed/*.xml.gz with .md5 companions, benchmark/test.jsonl, finetune/, world.json")
    drugs: int = key(
        "invented drugs; each treats one disease, inhibits one enzyme and causes one symptom", 80, check=at_least(8)
    )
    diseases: int = key("invented diseases; enzymes and symptoms are as many", 24, check=at_least(4))
    abstracts: int = key("citations in the baseline files", 40_000, check=at_least(10))
    citations_per_file: int = key("most citations in one XML file (NLM's have 30,000)", 4_000, check=at_least(1))
    revised_share: float = key(
        "revisions in the update files, as a share of the citations (a citation can be revised again)",
        0.02,
        check=within(0, 0.5),
    )
    deleted_share: float = key("share of citations that the update files delete", 0.01, check=within(0, 0.5))
    finetune_share: float = key(
        "share of the drugs that the train questions of finetune/ ask about; its test questions are about the others",
        0.5,
        check=within(0.1, 0.9),
    )
    finetune_times: int = key("train questions for each fact, in varied words", 8, check=at_least(1))
    seed: int = key("seed of the world and of its texts", 17)

    def problems(self) -> Iterator[tuple[str, str]]:
        names = self.drugs + 3 * self.diseases
        if names > MOST_NAMES:
            yield (
                "drugs",
                f"{self.drugs:,} drugs and 3 x {self.diseases:,} diseases, enzymes and symptoms are {names:,} names, "
                f"and only {MOST_NAMES:,} can be invented; lower drugs or diseases",
            )
        if self.diseases > self.drugs:
            yield (
                "diseases",
                f"{self.diseases:,} diseases, but only {self.drugs:,} drugs: some would have no treatment; "
                f"use at most {self.drugs:,}",
            )
        # The update files hold at most half as many citations again, plus two.
        if 1.5 * self.abstracts / self.citations_per_file + 3 > MOST_FILES:
            yield (
                "citations_per_file",
                f"{self.abstracts:,} abstracts with {self.citations_per_file:,} a file and their updates are more than "
                f"{MOST_FILES:,} files; raise it to at least {self.abstracts // 6_000 + 1:,}",
            )
