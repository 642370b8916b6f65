"""Keys of generate_closed_world."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, within


@dataclass
class WorldConfig:
    out: str = key("folder to write: pubmed/*.xml.gz with .md5 companions, benchmark/test.jsonl, world.json")
    drugs: int = key("invented drugs; each treats one disease, inhibits one enzyme and causes one symptom", 80, check=at_least(8))
    diseases: int = key("invented diseases; enzymes and symptoms are as many", 24, check=at_least(4))
    abstracts: int = key("citations in the baseline files", 20_000, check=at_least(10))
    citations_per_file: int = key("citations in one XML file (NLM's have 30,000)", 2_000, check=at_least(1))
    revised_share: float = key("share of citations that the update files revise, like NLM's", 0.02, check=within(0, 0.5))
    deleted_share: float = key("share of citations that the update files delete", 0.01, check=within(0, 0.5))
    seed: int = key("seed of the world and of its texts", 17)
