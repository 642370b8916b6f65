"""The verb prepare_corpus from outside: what it writes, and how it refuses what is wrong."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from medlm_recipes.config.command import run_command
from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus.document import Document, list_sources, read_documents
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<PubmedArticleSet>\n'
TAIL = "</PubmedArticleSet>\n"


def article(pmid: int, text: str = "Some <i>text</i>.") -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article><ArticleTitle>T{pmid}</ArticleTitle>'
        f"<Abstract><AbstractText>{text}</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>\n"
    )


def pile_line(text: str, name: str = "PubMed Abstracts") -> str:
    return json.dumps({"text": text, "meta": {"pile_set_name": name}}) + "\n"


def recipe(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "recipes/prepare_corpus.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def prepare(form: str, inputs: list[Path], out: Path, *overrides: str) -> dict[str, object]:
    given = [f"inputs=[{','.join(map(str, inputs))}]", f"out={out}", *overrides]
    prepare_corpus(load_config(CorpusConfig, ROOT / f"yamls/corpus/{form}.yaml", given), dry_run=False)
    return read_manifest(out, "prepare_corpus").facts


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def documents(folder: Path) -> list[Document]:
    return [
        document
        for split in ("train", "validation")
        for source in list_sources(folder, split)
        for document in read_documents(folder, split, source)
    ]


def test_pubmed_files_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    many = "".join(article(pmid) for pmid in range(1, 41))
    (tmp_path / "in" / "pubmed21n0001.xml.gz").write_bytes(gzip.compress((HEAD + many + TAIL).encode()))
    update = article(3, "Revised.") + article(41, "") + "<DeleteCitation><PMID>4</PMID></DeleteCitation>"
    (tmp_path / "in" / "pubmed21n0002.xml").write_text(HEAD + update + TAIL)
    out = tmp_path / "out"
    arguments = ("yamls/corpus/pubmed_xml.yaml", f"inputs={tmp_path / 'in'}", "validation_fraction=0.2")

    described = recipe(*arguments, f"out={out}", "--dry-run")
    assert described.returncode == 0 and "2 files" in described.stdout and "20.00%" in described.stdout
    assert not out.exists()

    done = recipe(*arguments, f"out={out}", "execution.workers=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "read 42 = written 39 + rejected 1 (no_abstract 1) + skipped 2" in done.stdout
    manifest = read_manifest(out, "prepare_corpus")
    assert list(manifest.inputs) == ["pubmed21n0001.xml.gz", "pubmed21n0002.xml"]
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    splits = manifest.facts.pop("splits")
    assert manifest.facts == {
        "read": 42,
        "written": 39,
        "rejected": {"no_abstract": 1},
        "skipped": {"deleted": 1, "superseded": 1},
    }
    texts = {document.id: document.text for document in documents(out)}
    assert texts["pmid:3"] == "T3\nRevised." and "pmid:4" not in texts and len(texts) == 39
    for split, sizes in splits.items():
        there = list(read_documents(out, split, "pubmed-abstracts"))
        assert sizes["pubmed-abstracts"] == {
            "documents": len(there),
            "characters": sum(len(document.text) for document in there),
            "bytes": sum(len(document.text.encode()) for document in there),
        }
    assert json.loads((out / "rejected" / "00001.jsonl").read_text()) == {
        "file": "pubmed21n0002.xml",
        "record": "pmid 41",
        "reason": "no_abstract",
        "excerpt": "T41",
    }

    first = content(out)
    again = recipe(*arguments, f"out={out}", "execution.workers=1")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert recipe(*arguments, f"out={tmp_path / 'alone'}", "execution.workers=1").returncode == 0
    assert content(out) == first == content(tmp_path / "alone")
    other = recipe(*arguments, f"out={out}", "seed=3")
    assert other.returncode == 2 and "seed: 17, now 3" in other.stderr


def cut_xml(folder: Path) -> str:
    (folder / "pubmed21n0002.xml").write_text(HEAD + article(3) + article(4)[:100])
    return "pubmed21n0002.xml: not well-formed XML after 1 records"


def cut_gzip(folder: Path) -> str:
    whole = gzip.compress((HEAD + "".join(article(n) for n in range(3000)) + TAIL).encode())
    (folder / "pubmed21n0002.xml.gz").write_bytes(whole[: len(whole) // 2])
    return "pubmed21n0002.xml.gz: truncated"


def not_gzip(folder: Path) -> str:
    (folder / "pubmed21n0002.xml.gz").write_text(HEAD + TAIL)
    return "pubmed21n0002.xml.gz: damaged"


def other_xml(folder: Path) -> str:
    (folder / "pubmed21n0002.xml").write_text("<article><body/></article>")
    return "its root is <article>, not <PubmedArticleSet>"


def empty_file(folder: Path) -> str:
    (folder / "pubmed21n0002.xml").touch()
    return "pubmed21n0002.xml: not well-formed XML after 0 records"


def cut_zstd(folder: Path) -> str:
    whole = zstd.compress("".join(pile_line(f"text {n}") for n in range(3000)).encode())
    (folder / "01.jsonl.zst").write_bytes(whole[:-10])
    return "01.jsonl.zst: truncated after line"


def unreadable_zstd(folder: Path) -> str:
    (folder / "01.jsonl.zst").write_bytes(b"these are not the bytes of zstd")
    return "01.jsonl.zst: damaged after line 0"


def other_bytes(folder: Path) -> str:
    (folder / "pubmed21n0002.xml").write_text(HEAD + article(3) + TAIL)
    (folder / "pubmed21n0002.xml.md5").write_text(f"MD5(pubmed21n0002.xml)= {'0' * 32}\n")
    return "pubmed21n0002.xml: damaged: its MD5 is"


@pytest.mark.parametrize(
    "damage", [other_bytes, cut_xml, cut_gzip, not_gzip, other_xml, empty_file, cut_zstd, unreadable_zstd]
)
def test_damaged_input_ends_with_one_message(tmp_path: Path, damage: Callable[[Path], str]) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    message = damage(inputs)
    form = "pile" if "zstd" in damage.__name__ else "pubmed_xml"
    (inputs / "00.jsonl").write_text(pile_line("sound"))
    (inputs / "pubmed21n0001.xml").write_text(HEAD + article(1) + TAIL)
    ended = recipe(f"yamls/corpus/{form}.yaml", f"inputs={inputs}", f"out={tmp_path / 'out'}", "execution.workers=2")
    assert ended.returncode == 2
    assert message in ended.stderr and str(inputs) in ended.stderr
    assert ended.stderr.startswith("error: ") and len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["inputs=nowhere/*.xml"], "'nowhere/*.xml' matches no file"),
        (["inputs=[nowhere.xml]"], "nowhere.xml: no such file or folder"),
        ([], "inputs: missing; files, folders or globs to read"),
        (["inputs=x", "format=pubmed"], "did you mean pubmed_xml?"),
        (["inputs=x", "format=pile", "pile_sets=[A b, a-B]"], "give the same source twice: a-b, a-b"),
        (["inputs=x", "source=../up"], "must be a folder's name"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [str(ROOT / "yamls/corpus/pubmed_xml.yaml"), f"out={tmp_path / 'out'}", *arguments]
    for more in ([], ["--dry-run"]):
        with pytest.raises(SystemExit) as ended:
            run_command(CorpusConfig, prepare_corpus, "", given + more)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


def test_the_dry_run_finds_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(b"no zstd")
    with pytest.raises(DataError, match=r"00\.jsonl\.zst: damaged"):
        prepare_corpus(CorpusConfig(format="pile", inputs=[str(path)], out=str(tmp_path / "out")), dry_run=True)


def test_an_empty_corpus_says_why(tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl"
    path.write_text("no json\n" + pile_line("   ") + pile_line("x", "Github"))
    with pytest.raises(DataError, match=r"rejected 2 \((not_json|empty) 1, .* 1\) \+ skipped 1 \(other_pile_set 1\)"):
        prepare("pile", [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_short_empty_and_unencodable_texts_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl"
    surrogate = '{"text": "long enough \\ud800", "meta": {"pile_set_name": "PubMed Abstracts"}}\n'
    path.write_text(pile_line("short") + pile_line(" \n ") + surrogate + pile_line("long enough"))
    facts = prepare("pile", [path], tmp_path / "out", "clean.length.min_characters=6", "execution.workers=1")
    assert facts["rejected"] == {"empty": 1, "not_utf8": 1, "too_short": 1} and facts["written"] == 1


def test_plain_text_folders_are_grouped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    for number in range(1001):
        (folder / f"{number:04d}.txt").write_text(f"Note {number}")
    (folder / "1001.txt").touch()
    facts = prepare("text", [tmp_path / "in"], tmp_path / "out", "source=notes", "validation_fraction=0")
    assert facts["written"] == 1001 and facts["rejected"] == {"empty": 1}
    assert sorted(path.name for path in (tmp_path / "out/train/notes").iterdir()) == [
        "00000.jsonl.zst",
        "00001.jsonl.zst",
    ]
    assert documents(tmp_path / "out")[1000] == Document(
        "deep/1000.txt", "Note 1000", "notes", {"file": "deep/1000.txt"}
    )
    assert "notice: source notes has no validation documents" in capsys.readouterr().out


def test_the_real_pile_sample(tmp_path: Path) -> None:
    path = SHARED / "pile" / "pubmed_abstracts_sample.jsonl.zst"
    if not path.is_file():
        pytest.skip(f"no real sample at {path}")
    facts = prepare("pile", [path], tmp_path / "out")
    assert (facts["read"], facts["written"], facts["rejected"], facts["skipped"]) == (4801, 4801, {}, {})
    given = [json.loads(line)["text"] for line in zstd.decompress(path.read_bytes()).splitlines()]
    assert sorted(document.text for document in documents(tmp_path / "out")) == sorted(given)


def test_the_real_pubmed_sample(tmp_path: Path) -> None:
    folder = SHARED / "pubmed_baseline"
    if not folder.is_dir():
        pytest.skip(f"no real sample at {folder}")
    facts = prepare("pubmed_xml", [folder], tmp_path / "out", "execution.workers=2")
    assert (facts["read"], facts["written"], facts["rejected"]) == (78, 54, {"no_abstract": 24})
    assert len({document.id for document in documents(tmp_path / "out")}) == 54
