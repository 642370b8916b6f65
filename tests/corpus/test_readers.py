"""The Pile's and the text format's readers, compressed files, input expansion, the split."""

import gzip
import json
from pathlib import Path

import pytest
from backports import zstd

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus import compressed, json_lines, text
from medlm_recipes.corpus.compressed import open_output, read_lines
from medlm_recipes.corpus.document import (
    Document,
    Reject,
    Skipped,
    choose_sources,
    list_sources,
    read_document_file,
    read_documents,
)
from medlm_recipes.corpus.inputs import InputFile, expand_inputs
from medlm_recipes.corpus.pile import read_pile
from medlm_recipes.corpus.split import split_of
from medlm_recipes.corpus.text import read_text
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.execution.processes import in_processes

COMPRESS = {".jsonl": bytes, ".jsonl.gz": gzip.compress, ".jsonl.zst": zstd.compress}
PILE = CorpusConfig(format="pile", inputs=["x"], out="unused")
TEXT = CorpusConfig(format="text", inputs=["x"], out="unused", source="notes")


def record(body: object, name: object = "PubMed Abstracts") -> bytes:
    return json.dumps({"text": body, "meta": {"pile_set_name": name}}).encode() + b"\n"


@pytest.mark.parametrize("ending", COMPRESS)
def test_pile_records(tmp_path: Path, ending: str) -> None:
    lines = [
        record("A text.\nβ"),
        record("Code", "Github"),
        b"\n",
        record("A text.\nβ", "PubMed Central"),
        b"{not json\n",
        b"[1]\n",
        b'{"text": "no meta"}\n',
        record(None),
        record(5),
        b'{"text": "bad \xff byte", "meta": {"pile_set_name": "PubMed Abstracts"}}\n',
        b'{"text": "x", "meta": {"pile_set_name": "PubMed Abstracts", "n": NaN}}\n',
        b'{"text": ' + b"[" * 100_000 + b"\n",
        record("x", ["PubMed Abstracts"]),
        record("the last has no line end")[:-1],
    ]
    path = tmp_path / f"00{ending}"
    path.write_bytes(COMPRESS[ending](b"".join(lines)))
    items = list(read_pile(InputFile(path, "00"), PILE, {}))
    first, other, twin, *rejects, last = items
    assert isinstance(first, Document) and isinstance(twin, Document) and isinstance(last, Document)
    assert (first.text, first.source) == ("A text.\nβ", "pubmed-abstracts")
    assert first.metadata == {"pile_set_name": "PubMed Abstracts"}
    assert other == Skipped("other_pile_set")
    assert twin.source == "pubmed-central" and twin.id == first.id != last.id
    assert [(item.record, item.reason) for item in rejects if isinstance(item, Reject)] == [
        ("line 5", "not_json"),
        ("line 6", "not_an_object"),
        ("line 7", "no_pile_set_name"),
        ("line 8", "no_text"),
        ("line 9", "text_not_a_string"),
        ("line 10", "not_utf8"),
        ("line 11", "not_json"),
        ("line 12", "not_json"),
        ("line 13", "no_pile_set_name"),
    ]
    assert all(len(json.loads(reject.to_line())["excerpt"]) <= 200 for reject in rejects if isinstance(reject, Reject))


def test_a_giant_line_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (compressed, json_lines):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(record("x" * 350) + record("y") + record("z" * 1000)[:-1])
    items = list(read_pile(InputFile(path, "a"), PILE, {}))
    assert [getattr(item, "reason", "kept") for item in items] == ["too_long", "kept", "too_long"]
    assert [number for number, _ in read_lines(path)] == [1, 2, 3]


def test_text_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne\r\nTwo \xce\xb2\n")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    a, b = (list(read_text(InputFile(tmp_path / name, f"d/{name}"), TEXT, {})) for name in ("a.txt", "b.txt"))
    assert a == [Document("d/a.txt", "One\nTwo β\n", "notes", {"file": "d/a.txt"})]
    assert b == [Reject("d/b.txt", "file", "not_utf8", "caf\ufffd")]
    monkeypatch.setattr(text, "MAX_RECORD_BYTES", 3)
    [item] = read_text(InputFile(tmp_path / "a.txt", "a.txt"), TEXT, {})
    assert isinstance(item, Reject) and item.reason == "too_long"


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_cut_at_any_byte_is_found(tmp_path: Path, ending: str) -> None:
    whole = COMPRESS[ending](b"".join(record(f"text {n}") for n in range(50)))
    path = tmp_path / f"a{ending}"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.jsonl.*(truncated|damaged).*after line \d+.*fetch"):
            list(read_lines(path))
    path.write_bytes(whole + whole)  # several frames or members are one file
    assert sum(1 for _ in read_lines(path)) == 100


def test_written_files_are_the_same_every_time_and_checked(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl.zst", tmp_path / "b.jsonl.zst"]
    documents = [Document(str(n), "text " * n, "s", {"k": [n, "β"]}) for n in range(1, 300)]
    for path in paths:
        with open_output(path) as stream:
            for document in documents:
                stream.write(document.to_line())
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    assert list(read_document_file(paths[0])) == documents
    paths[1].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match="damaged"):
        list(read_document_file(paths[1]))


def test_later_stages_stream_documents_back(tmp_path: Path) -> None:
    for split, source, name in (("train", "b", "00001"), ("train", "b", "00000"), ("train", "a", "00000")):
        folder = tmp_path / split / source
        folder.mkdir(parents=True, exist_ok=True)
        with open_output(folder / f"{name}.jsonl.zst") as stream:
            stream.write(Document(name, name, source).to_line())
    assert list_sources(tmp_path, "train") == ["a", "b"] == choose_sources(tmp_path, "train", [])
    assert list_sources(tmp_path, "validation") == []
    assert [document.id for document in read_documents(tmp_path, "train", "b")] == ["00000", "00001"]
    with pytest.raises(ConfigError, match="no source 'bb'; did you mean b"):
        choose_sources(tmp_path, "train", ["bb"])
    with pytest.raises(DataError, match="no validation documents"):
        choose_sources(tmp_path, "validation", [])
    with open_output(tmp_path / "train" / "a" / "00001.jsonl.zst") as stream:
        stream.write(b'{"id": 1}\n')
    with pytest.raises(DataError, match="line 1 is not a document"):
        list(read_documents(tmp_path, "train", "a"))


def test_inputs_are_files_folders_and_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base/n2.xml.gz", "base/n2.xml.gz.md5", "base/sub/n1.xml", "new/n3.xml", "new/n2.xml.gz", "note.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")

    def names(*patterns: str) -> list[str]:
        return [file.name for file in expand_inputs(patterns, (".xml", ".xml.gz"))]

    # By file name, as NLM numbers them; equal names told apart by their folder; a file given twice read once.
    assert names("new", "base") == ["sub/n1.xml", "base/n2.xml.gz", "new/n2.xml.gz", "n3.xml"]
    assert names("base", "base/n2.xml.gz", str(tmp_path / "base" / "*")) == ["sub/n1.xml", "n2.xml.gz"]
    assert names("*/n2*") == ["base/n2.xml.gz", "new/n2.xml.gz"]
    assert names("**/n1.xml") == ["base/sub/n1.xml"]
    assert str(tmp_path) not in str(names(str(tmp_path / "base"), str(tmp_path / "new")))
    for pattern, message in (
        ("nothing/*.xml", "'nothing/\\*.xml' matches no file ending in .xml or .xml.gz"),
        ("absent.xml", "absent.xml: no such file"),
        ("note.txt", "note.txt: this format reads files ending in"),
    ):
        with pytest.raises(DataError, match=message):
            names("base", pattern)


def test_equally_named_folders_are_numbered(tmp_path: Path) -> None:
    for name in ("a/x/n.txt", "b/x/n.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    files = expand_inputs([str(tmp_path / "a" / "x"), str(tmp_path / "b" / "x")], (".txt",))
    assert [file.name for file in files] == ["x/n.txt", "x/n.txt#2"]


def test_the_split_is_the_hash_of_seed_and_id() -> None:
    ids = [f"pmid:{n}" for n in range(20_000)]
    chosen = [split_of(one, 17, 0.05) == "validation" for one in ids]
    assert 850 < sum(chosen) < 1150
    assert chosen == [split_of(one, 17, 0.05) == "validation" for one in ids]
    assert chosen != [split_of(one, 18, 0.05) == "validation" for one in ids]
    # A larger fraction keeps what a smaller one chose.
    assert all(split_of(one, 17, 0.5) == "validation" for one, was in zip(ids, chosen, strict=True) if was)
    assert not any(split_of(one, 17, 0) == "validation" for one in ids)
    # sha256sum gives 0da300b3... for "17:pmid:1", 0.05327 of the range: part of the format, never to change
    assert split_of("pmid:1", 17, 0.0532) == "train"
    assert split_of("pmid:1", 17, 0.0533) == "validation"


def half(number: int) -> float:
    if number == 7:
        raise DataError("seven")
    return number / 2


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_keep_order_and_hand_on_errors(workers: int) -> None:
    assert list(in_processes(half, list(range(7)), workers)) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    with pytest.raises(DataError, match="seven"):
        list(in_processes(half, list(range(40)), workers))
    assert list(in_processes(half, [], workers)) == []
