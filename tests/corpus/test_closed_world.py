"""The closed world: same seed, same bytes; true facts; files in NLM's form; a fair benchmark."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import etree

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.world import WorldConfig
from medlm_recipes.corpus.closed_world import (
    RELATIONS,
    build_benchmark,
    build_world,
    citation,
    generate,
    plan_updates,
    pmids,
)
from medlm_recipes.corpus.closed_world_questions import LETTERS, STEMS
from medlm_recipes.corpus.closed_world_text import FORMS, SECTIONS
from medlm_recipes.manifest import read_manifest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "yamls" / "quickstart" / "world.yaml"
SHARED = ROOT.parent / "shared" / "data"
REAL = SHARED / "pubmed_baseline"
MEDQA = SHARED / "benchmarks" / "medqa_usmle_4_options_first300.jsonl"


def small(out: Path, **changes: int | float) -> WorldConfig:
    values: dict[str, int | float] = {
        "drugs": 16,
        "diseases": 6,
        "abstracts": 200,
        "citations_per_file": 60,
        "revised_share": 0.2,
        "deleted_share": 0.1,
    }
    return WorldConfig(out=str(out), **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "out"
    generate(small(out), dry_run=False)
    return out


def files(folder: Path) -> list[Path]:
    return sorted((folder / "pubmed").glob("*.xml.gz"))


def parse(path: Path) -> etree._Element:
    return etree.fromstring(gzip.decompress(path.read_bytes()))


def paths_of(element: etree._Element, prefix: str = "") -> set[str]:
    """Every element path with its attribute names."""
    here = f"{prefix}/{element.tag}[{' '.join(sorted(map(str, element.attrib)))}]"
    return {here}.union(*(paths_of(child, here) for child in element if isinstance(child.tag, str)))


def text_of(article: etree._Element) -> str:
    return "\n".join("".join(part.itertext()) for part in article.iter("ArticleTitle", "AbstractText"))


def run_recipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "recipes" / "generate_closed_world.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world(made: Path, tmp_path: Path) -> None:
    generate(small(tmp_path / "again"), dry_run=False)
    generate(small(tmp_path / "other", seed=18), dry_run=False)

    def content(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(made) == content(tmp_path / "again")
    assert not set(build_world(small(made)).facts) & set(build_world(small(made, seed=18)).facts)
    assert all(content(made)[name] != data for name, data in content(tmp_path / "other").items())


def test_every_citation_stands_once_in_the_baseline_and_ends_revised_or_deleted_as_planned(made: Path) -> None:
    baseline, updates = files(made)[:4], files(made)[4:]
    assert all(parse(path).find("DeleteCitation") is None for path in baseline)
    assert [path.name for path in files(made)] == [f"pubmed26n000{number}.xml.gz" for number in range(1, 7)]
    found = [int(pmid.text or "") for path in baseline for pmid in parse(path).iterfind(".//MedlineCitation/PMID")]
    assert found == list(pmids(small(made)))

    alive = dict.fromkeys(found, (1, "2025"))
    revised = deleted = 0
    for path in updates:
        root = parse(path)
        assert [child.tag for child in root][-1] == "DeleteCitation"
        for record in root.iterfind("PubmedArticle/MedlineCitation"):
            pmid, version = int(record.findtext("PMID") or ""), int(record.find("PMID").get("Version"))  # type: ignore[union-attr,arg-type]
            date = "-".join(str(part.text) for part in record.find("DateRevised"))  # type: ignore[union-attr]
            assert version >= alive[pmid][0] and date > alive[pmid][1]
            alive[pmid] = version, date
            revised += 1
        for gone in root.iterfind("DeleteCitation/PMID"):
            assert alive.pop(int(gone.text or ""))[0] == int(gone.get("Version", ""))
            deleted += 1
    assert (revised, deleted, len(alive)) == (40, 20, 180)
    assert any(version == 2 for version, _ in alive.values())
    facts = read_manifest(made, "generate_closed_world").facts
    assert (facts["revisions"], facts["deletions"], facts["abstracts"]) == (40, 20, 200)


def test_a_revision_says_the_same_facts_in_other_words(made: Path) -> None:
    before = {article.findtext(".//PMID"): text_of(article) for path in files(made)[:4] for article in parse(path)}
    after = {
        article.findtext(".//PMID"): text_of(article)
        for path in files(made)[4:]
        for article in parse(path).iter("PubmedArticle")
    }
    assert after and all(before[pmid] != text for pmid, text in after.items())
    world = build_world(small(made))
    for pmid in map(int, after):  # type: ignore[arg-type]
        facts = [{sentence.fact for sentence in citation(world, pmid, revision).sentences} for revision in (0, 1, 2)]
        assert facts[0] - {None} == facts[1] - {None} == facts[2] - {None}


def test_companions_hold_the_md5_of_their_file_in_nlms_form(made: Path) -> None:
    for path in files(made):
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        assert path.with_name(path.name + ".md5").read_text() == f"MD5({path.name})= {md5}\n"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real PubMed files in {REAL}")
def test_every_element_and_attribute_occurs_in_nlms_own_files(made: Path) -> None:
    real = set[str]().union(*(paths_of(parse(path)) for path in REAL.glob("*.xml.gz")))
    # The real samples are pieces without a list of deletions; its form is that of NLM's DTD.
    allowed = {"/PubmedArticleSet[]/DeleteCitation[]", "/PubmedArticleSet[]/DeleteCitation[]/PMID[Version]"}
    ours = set[str]().union(*(paths_of(parse(path)) for path in files(made)))
    assert {path for path in ours if "AbstractText" not in path} - real <= allowed
    head = gzip.decompress(next(REAL.glob("*.xml.gz")).read_bytes()).splitlines()[:3]
    assert all(gzip.decompress(path.read_bytes()).splitlines()[:3] == head for path in files(made))


def test_texts_hold_markup_and_entities_and_both_kinds_of_abstracts(made: Path) -> None:
    parsed = [parse(path) for path in files(made)]
    texts = "".join(text_of(root) for root in parsed)
    assert all(next(root.iter(tag), None) is not None for tag in ("i", "sub", "sup") for root in parsed[:4])
    assert "<0.05" in texts and "IC50" in texts and "{" not in texts and "&" not in texts
    for root in parsed:
        for abstract in root.iter("Abstract"):
            labels = [part.get("Label") for part in abstract]
            assert labels in ([None], list(SECTIONS))
            assert all("".join(part.itertext()).strip() for part in abstract)
        assert {len(abstract) for abstract in root.iter("Abstract")} == {1, len(SECTIONS)}


def test_facts_are_true_dense_and_mostly_drug_first(tmp_path: Path) -> None:
    config = small(tmp_path, abstracts=400)
    world = build_world(config)
    sentences = [sentence for pmid in pmids(config) for sentence in citation(world, pmid, 0).sentences]
    stating = [sentence for sentence in sentences if sentence.fact]
    for sentence in stating:
        assert sentence.fact and world.facts[sentence.fact.drug][sentence.fact.relation] == sentence.fact.object
    names = {name for names in world.objects.values() for name in names}
    for sentence in sentences:
        words = set(sentence.text.replace(",", " ").replace(".", " ").replace(":", " ").split())
        assert words & names == ({sentence.fact.object} if sentence.fact else set())
    share = sum(len(s.text.split()) for s in stating) / sum(len(s.text.split()) for s in sentences)
    assert share >= 0.6
    drug_first = [s.text.index(s.fact.drug) < s.text.index(s.fact.object) for s in stating if s.fact]
    assert 0.6 < sum(drug_first) / len(drug_first) < 0.95
    assert len({sentence.fact for sentence in stating}) == 3 * len(world.facts)
    assert all(
        len(forward) + len(backward) >= 8 and len(forward) > len(backward) for forward, backward in FORMS.values()
    )


def test_a_citation_states_a_fact_once(tmp_path: Path) -> None:
    world = build_world(small(tmp_path))
    for pmid in pmids(small(tmp_path)):
        stated = [sentence.fact for sentence in citation(world, pmid, 0).sentences if sentence.fact]
        assert len(stated) == len(set(stated)) >= 6


def test_names_are_distinct_and_none_begins_another(tmp_path: Path) -> None:
    world = build_world(small(tmp_path, drugs=600, diseases=200))
    kinds = [list(world.facts), *world.objects.values()]
    names = sorted(name.lower() for kind in kinds for name in kind)
    assert len(set(names)) == 600 + 3 * 200
    assert not any(later.startswith(name) for name, later in pairwise(names))
    assert all(max(map(len, kind)) - min(map(len, kind)) <= 1 for kind in kinds)


def test_the_benchmark_asks_every_fact_once_and_its_answers_are_the_worlds(made: Path) -> None:
    world = json.loads((made / "world.json").read_text())
    questions = [json.loads(line) for line in (made / "benchmark" / "test.jsonl").read_text().splitlines()]
    asked = set()
    for question in questions:
        (drug,) = [drug for drug in world["facts"] if drug in question["question"]]
        relation = question["meta_info"]
        asked.add((drug, relation))
        assert question["answer"] == world["facts"][drug][relation] == question["options"][question["answer_idx"]]
        assert list(question["options"]) == list(LETTERS)
        assert len(set(question["options"].values())) == 4
        assert set(question["options"].values()) <= set(world["objects"][relation])
        assert not question["question"].startswith(drug) and question["question"] == question["question"].strip()
    assert asked == {(drug, relation) for drug in world["facts"] for relation in RELATIONS}
    assert len(questions) == len(asked) == 48
    assert set(Counter(question["answer_idx"] for question in questions).values()) == {12}
    assert all(len(stems) >= 3 for stems in STEMS.values())


@pytest.mark.skipif(not MEDQA.is_file(), reason=f"no {MEDQA}")
def test_questions_have_the_keys_and_types_of_medqa(made: Path) -> None:
    with MEDQA.open() as real, (made / "benchmark" / "test.jsonl").open() as ours:
        theirs, question = json.loads(real.readline()), json.loads(ours.readline())
    assert set(theirs) - set(question) == {"metamap_phrases"}
    assert {key: type(value) for key, value in question.items()} == {key: type(theirs[key]) for key in question}
    assert list(question["options"]) == list(theirs["options"])


def test_the_benchmark_does_not_depend_on_the_texts(tmp_path: Path) -> None:
    plain = build_benchmark(build_world(small(tmp_path)))
    assert plain == build_benchmark(build_world(small(tmp_path, abstracts=999, revised_share=0, citations_per_file=7)))


@pytest.mark.parametrize(("revised", "deleted"), [(0, 0), (0.5, 0.5), (0, 0.1), (0.1, 0)])
def test_updates_keep_their_shares_at_the_bounds(tmp_path: Path, revised: float, deleted: float) -> None:
    config = small(tmp_path, abstracts=11, citations_per_file=2, revised_share=revised, deleted_share=deleted)
    updates = plan_updates(config)
    assert sum(len(update.revised) for update in updates) == round(11 * revised)
    assert sum(len(update.deleted) for update in updates) == round(11 * deleted)
    assert all(len(update.revised) <= 3 for update in updates)


def test_dry_run_prints_the_numbers_and_writes_nothing(tmp_path: Path) -> None:
    done = run_recipe(str(RECIPE), f"out={tmp_path / 'world'}", "--dry-run")
    assert done.returncode == 0, done.stderr
    for line in ("facts: 240", "questions: 240", "baseline files: 10", "abstracts: 40,000"):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_bad_config_is_told_whole_and_exits_2(tmp_path: Path) -> None:
    done = run_recipe(str(RECIPE), f"out={tmp_path / 'world'}", "drugs=20", "diseases=3000", "--dry-run")
    assert done.returncode == 2
    assert "9,020 names" in done.stderr and "diseases: 3,000 diseases, but only 20 drugs" in done.stderr
    assert "Traceback" not in done.stderr
    done = run_recipe(str(RECIPE), "drug=20", "seed=x")
    assert (
        done.returncode == 2 and "did you mean drugs?" in done.stderr and "seed: 'x' is not an integer" in done.stderr
    )
    done = run_recipe(str(RECIPE), "citations_per_file=1", "abstracts=20000", "--dry-run")
    assert done.returncode == 2 and "citations_per_file" in done.stderr


def test_the_recipe_writes_what_the_yaml_says_and_refuses_to_overwrite_another_world(tmp_path: Path) -> None:
    out = tmp_path / "world"
    shrunk = [str(RECIPE), f"out={out}", "abstracts=50", "citations_per_file=50"]
    assert run_recipe(*shrunk).returncode == 0
    assert len(files(out)) == 3
    assert "nothing to do" in run_recipe(*shrunk).stdout
    other = run_recipe(*shrunk, "seed=3")
    assert other.returncode == 2 and "seed: 17, now 3" in other.stderr


def test_the_shipped_yaml_names_every_key() -> None:
    config = load_config(WorldConfig, RECIPE)
    defaults = WorldConfig(out=config.out)
    assert config == defaults
