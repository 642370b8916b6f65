"""fetch_corpus on NLM's folders: what a run leaves, and what the next one does."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from gzip import compress
from pathlib import Path

import pytest
from fetch_server import SHORT, Fault, Fetch, Server, md5
from launch import ROOT, SHARED, done, recipe, refused

from medlm_recipes.corpus.inputs import expand_inputs
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.pubmed import parse_listing
from medlm_recipes.manifest import UNFINISHED, read_manifest

FOLDER = "/pubmed/baseline/"
NAMES = [f"pubmed26n{number:04}.xml.gz" for number in range(1, 5)]


def content(number: int, size: int = 100_000) -> bytes:
    """Gzip of what does not shrink, so that a file is as long as its text."""
    noise = b"".join(hashlib.sha256(b"%d %d" % (number, block)).digest() for block in range(size // 32))
    return compress(noise, 1, mtime=0)


@pytest.fixture
def baseline(server: Server) -> Server:
    for number, name in enumerate(NAMES):
        server.put(FOLDER + name, content(number), companion=True)
    server.put(FOLDER + "README.txt", b"not a citation")
    return server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_whole(server: Server, folder: Path) -> bool:
    return all((folder / name).read_bytes() == server.files[FOLDER + name] for name in NAMES)


def test_from_the_command_line(baseline: Server, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    arguments = ["yamls/fetch/pubmed_baseline.yaml", f"url={baseline.url}{FOLDER}", f"out={out}", *SHORT]
    described = done(recipe("fetch_corpus", *arguments, "--dry-run")).stdout
    assert "4 files" in described and "0 are there, 4 are missing, about 39" in described
    assert not (tmp_path / "deep").exists() and [path for path, _ in baseline.asked] == [FOLDER]

    ended = done(recipe("fetch_corpus", *arguments))
    assert "4 files fetched, 0 kept" in ended.stdout and ended.stderr == ""
    assert is_whole(baseline, out)
    assert names(out) == sorted([*NAMES, *(f"{name}.md5" for name in NAMES), "files.tsv", "manifest.json"])
    manifest = read_manifest(out, "fetch_corpus")
    table = (out / "files.tsv").read_bytes()
    assert manifest.inputs == {"files.tsv": hashlib.sha256(table).hexdigest()}
    rows = [line.split("\t") for line in table.decode().splitlines()]
    assert rows[0] == ["name", "bytes", "md5", "sha256", "url"]
    whole = baseline.files[FOLDER + NAMES[0]]
    sha256 = hashlib.sha256(whole).hexdigest()
    assert rows[1] == [NAMES[0], str(len(whole)), md5(whole), sha256, f"{baseline.url}{FOLDER}{NAMES[0]}"]
    assert manifest.facts["files"] == 4 and str(tmp_path) not in (out / "manifest.json").read_text()
    assert baseline.headers[-1]["User-Agent"].startswith("medlm-recipes/")


def test_a_rerun_fetches_what_is_new_missing_or_damaged_and_nothing_else(
    baseline: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = baseline.url + FOLDER
    fetch("pubmed_baseline", url, tmp_path, "limit=3")
    assert not (tmp_path / NAMES[3]).exists()
    first = (tmp_path / "manifest.json").read_bytes()
    baseline.forget()
    fetch("pubmed_baseline", url, tmp_path, "limit=3")
    assert not any(path.endswith(".gz") for path, _ in baseline.asked)
    assert (tmp_path / "manifest.json").read_bytes() == first

    (tmp_path / NAMES[0]).unlink()
    broken = bytearray((tmp_path / NAMES[1]).read_bytes())
    broken[500] ^= 1
    (tmp_path / NAMES[1]).write_bytes(broken)
    (tmp_path / "pubmed25n0001.xml.gz").write_bytes(b"mine")
    baseline.put(FOLDER + NAMES[2], content(99), companion=True)  # published anew
    baseline.forget()
    capsys.readouterr()
    facts = fetch("pubmed_baseline", url, tmp_path)
    assert [baseline.times(FOLDER + name) for name in NAMES] == [1, 1, 1, 1] and facts["files"] == 4
    assert is_whole(baseline, tmp_path) and not list(tmp_path.glob("*.damaged"))
    assert (tmp_path / f"{NAMES[2]}.md5").read_bytes() == baseline.files[f"{FOLDER}{NAMES[2]}.md5"]
    assert (tmp_path / "pubmed25n0001.xml.gz").read_bytes() == b"mine"
    assert "notice: 1 other files among them, like" in capsys.readouterr().out

    (tmp_path / NAMES[0]).unlink()
    baseline.faults[FOLDER + NAMES[0]] = [Fault(status=404)]
    with pytest.raises(DataError, match="1 of 4 could not be fetched"):
        fetch("pubmed_baseline", url, tmp_path)
    assert (tmp_path / UNFINISHED).exists() and not (tmp_path / "manifest.json").exists()


def test_files_fetched_by_other_means_are_kept_when_they_are_right(
    baseline: Server, tmp_path: Path, fetch: Fetch
) -> None:
    (tmp_path / NAMES[0]).write_bytes(baseline.files[FOLDER + NAMES[0]])
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    assert [baseline.times(FOLDER + name) for name in NAMES] == [0, 1, 1, 1]


def test_a_range_of_files(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    assert fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path, "first=2", "last=3")["files"] == 2
    assert names(tmp_path)[2:6:2] == NAMES[1:3]
    with pytest.raises(DataError, match=r"lists pubmed26n0001\.xml\.gz to .*none of them from first to last"):
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path / "none", "first=7")


def test_dropped_connections_are_continued_where_they_ended(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    path = FOLDER + NAMES[0]
    # More drops than attempts: as long as each try brings something, it goes on.
    baseline.faults[path] = [Fault(drop_after=40_000), *[Fault(drop_after=10_000)] * 4, Fault(drop_after=0)]
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path, "limit=1")
    ranges = [asked for at, asked in baseline.asked if at == path]
    assert ranges == [None, *[f"bytes={n}-" for n in (40_000, 50_000, 60_000, 70_000, 80_000, 80_000)]]
    sent = next(one for one in baseline.headers if one.get("Range") == "bytes=40000-")
    assert sent["If-Range"] == baseline.etag(path) and sent["Accept-Encoding"] == "identity"
    assert (tmp_path / NAMES[0]).read_bytes() == baseline.files[path]
    assert not list(tmp_path.glob("*.part*"))


def test_a_server_without_ranges_sends_the_whole_again(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    baseline.ranges = False
    baseline.faults[FOLDER + NAMES[0]] = [Fault(drop_after=40_000), Fault(drop_after=30_000)]
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    assert is_whole(baseline, tmp_path)


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_between_its_parts_is_not_spliced(
    baseline: Server, tmp_path: Path, fetch: Fetch, if_range: bool
) -> None:
    path, new = FOLDER + NAMES[0], content(99)
    baseline.if_range = if_range
    baseline.faults[path] = [
        Fault(drop_after=40_000, then=lambda: baseline.put(path, new, companion=True)),
    ]
    # Seen from the answer's headers already: a spliced file would be a download with a wrong checksum.
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path, "limit=1", "retry.downloads=1")
    assert (tmp_path / NAMES[0]).read_bytes() == new and len(new) == len(content(0))
    assert [asked for at, asked in baseline.asked if at == path][:2] == [None, "bytes=40000-"]
    assert baseline.times(path) == (2 if if_range else 3)


def test_busy_and_failing_servers_are_waited_for(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    baseline.faults[FOLDER] = [Fault(status=503)]
    baseline.faults[FOLDER + NAMES[0]] = [Fault(status=503, headers={"Retry-After": "1"}), Fault(status=429)]
    baseline.faults[FOLDER + NAMES[1]] = [Fault(status=500), Fault(wait=0.4)]
    started = time.monotonic()
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path, "retry.timeout=0.2")
    assert is_whole(baseline, tmp_path)
    assert time.monotonic() - started >= 1.0


def test_tries_and_pauses_have_an_end(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    baseline.faults[FOLDER + NAMES[0]] = [Fault(status=502)] * 9
    baseline.faults[FOLDER + NAMES[1]] = [Fault(status=503, headers={"Retry-After": "86400"})]
    baseline.faults[FOLDER + NAMES[2]] = [Fault(status=403)]
    with pytest.raises(DataError) as caught:
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    message = str(caught.value)
    assert "3 of 4 could not be fetched" in message
    assert f"{NAMES[0]}: 502 Bad Gateway; given up after 3 tries" in message
    assert f"{NAMES[1]}: the server asks to come back in 86,400 s" in message and f"{NAMES[2]}: 403" in message
    assert [baseline.times(FOLDER + name) for name in NAMES] == [3, 1, 1, 1]


def test_a_server_that_is_gone_is_given_up(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    for number in range(1, 200):
        server.put(f"{FOLDER}pubmed26n{number:04}.xml.gz", b"x", companion=True)
        server.faults[f"{FOLDER}pubmed26n{number:04}.xml.gz"] = [Fault(status=404)]
    with pytest.raises(DataError, match=r"20 of 199 could not be fetched; given up after 20 in a row"):
        fetch("pubmed_baseline", server.url + FOLDER, tmp_path, "connections=1")
    server.faults[FOLDER] = [Fault(status=404)]
    with pytest.raises(DataError, match="/pubmed/baseline/: 404"):
        fetch("pubmed_baseline", server.url + FOLDER, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_wrong_checksum_is_fetched_again_and_put_aside_when_it_stays(
    baseline: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    once, always = FOLDER + NAMES[0], FOLDER + NAMES[1]
    truncated = baseline.files[once][:1000]  # with an honest length: nothing but the checksum tells
    baseline.faults[once] = [Fault(body=truncated)]
    baseline.faults[always] = [Fault(body=b"wrong")] * 3
    arguments = ["yamls/fetch/pubmed_baseline.yaml", f"url={baseline.url}{FOLDER}", f"out={tmp_path}", *SHORT]
    message = refused(recipe("fetch_corpus", *arguments), "1 of 4 could not be fetched", "in 3 downloads; put aside as")
    assert f"{NAMES[1]}: its MD5 is {md5(b'wrong')}, not {md5(baseline.files[always])}" in message
    assert (tmp_path / f"{NAMES[1]}.damaged").read_bytes() == b"wrong" and not (tmp_path / NAMES[1]).exists()
    assert (tmp_path / NAMES[0]).read_bytes() == baseline.files[once]
    assert (tmp_path / UNFINISHED).exists() and not (tmp_path / "manifest.json").exists()

    baseline.forget()
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    assert "1 files fetched, 3 kept" in capsys.readouterr().out
    assert [baseline.times(FOLDER + name) for name in NAMES] == [0, 1, 0, 0]
    assert (
        is_whole(baseline, tmp_path) and not list(tmp_path.glob("*.damaged")) and not (tmp_path / UNFINISHED).exists()
    )


def test_a_killed_run_goes_on_where_it_was(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    baseline.put(FOLDER + NAMES[3], content(3, 1_000_000), companion=True)
    baseline.seconds_a_block = 0.02
    arguments = ["yamls/fetch/pubmed_baseline.yaml", f"url={baseline.url}{FOLDER}", f"out={tmp_path}", *SHORT]
    process = subprocess.Popen([sys.executable, "recipes/fetch_corpus.py", *arguments], cwd=ROOT)
    part = tmp_path / f"{NAMES[3]}.part"
    until = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 200_000) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / NAMES[3]).exists() and not (tmp_path / "manifest.json").exists()
    with pytest.raises(DataError, match="fetch_corpus has not finished there"):
        expand_inputs([str(tmp_path)], (".xml.gz",))
    begun = part.stat().st_size
    baseline.seconds_a_block = 0
    baseline.forget()
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    assert is_whole(baseline, tmp_path) and not list(tmp_path.glob("*.part*"))
    assert [asked for at, asked in baseline.asked if at == FOLDER + NAMES[3]] == [f"bytes={begun}-"]
    assert [baseline.times(FOLDER + name) for name in NAMES] == [0, 0, 0, 1]


def test_a_full_disk_is_one_message_and_loses_nothing(
    baseline: Server, tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = f"yamls/fetch/pubmed_baseline.yaml url={baseline.url}{FOLDER} out={tmp_path} {' '.join(SHORT)}"
    command = f"ulimit -f 60; exec {sys.executable} recipes/fetch_corpus.py {arguments}"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    refused(ended, "cannot be written", "what is there is kept")
    assert not list(tmp_path.glob("*.gz"))
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    assert is_whole(baseline, tmp_path)

    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"bytes are missing, and the disk has 1,000 free"):
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path / "other")


def test_files_without_a_companion_are_held_to_their_own_checksum(
    server: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put(FOLDER + NAMES[0], content(0))
    server.faults[FOLDER + NAMES[0]] = [Fault(body=content(0)[:-200])]
    for times in (2, 2):
        fetch("pubmed_baseline", server.url + FOLDER, tmp_path)
        assert server.times(FOLDER + NAMES[0]) == times
    assert (tmp_path / NAMES[0]).read_bytes() == content(0)
    assert "notice: 1 without .md5 companion" in capsys.readouterr().out


@pytest.mark.parametrize("companion", [b"<html>busy</html>", b""])
def test_a_companion_without_an_md5_is_a_failure(
    baseline: Server, tmp_path: Path, fetch: Fetch, companion: bytes
) -> None:
    baseline.files[f"{FOLDER}{NAMES[0]}.md5"] = companion
    with pytest.raises(DataError, match=r"pubmed26n0001\.xml\.gz\.md5: names no MD5"):
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)


def test_only_http_is_followed(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    baseline.faults[FOLDER + NAMES[0]] = [Fault(status=302, headers={"Location": f"file://{secret}"})]
    baseline.faults[FOLDER + NAMES[1]] = [Fault(status=302, headers={"Location": "/elsewhere.xml.gz"})]
    baseline.files["/elsewhere.xml.gz"] = baseline.files[FOLDER + NAMES[1]]
    with pytest.raises(DataError, match=r"1 of 4 could not be fetched(.|\n)*0001\.xml\.gz: cannot be followed"):
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path / "out")
    assert (tmp_path / "out" / NAMES[1]).exists()


def test_the_environment_names_the_proxy(
    baseline: Server, tmp_path: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", baseline.url)
    fetch("pubmed_baseline", f"http://nowhere.invalid{FOLDER}", tmp_path)
    assert is_whole(baseline, tmp_path)


def test_two_runs_do_not_fill_one_folder(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(DataError, match="another fetch_corpus is filling it"):
            fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    finally:
        os.close(held)
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)


def test_a_folder_is_filled_from_one_source(baseline: Server, tmp_path: Path, fetch: Fetch) -> None:
    fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)
    with pytest.raises(DataError, match=r"filled from source pubmed, not source pmc_oa"):
        fetch("pmc_oa", baseline.url + FOLDER, tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"stage": "train", "config": {}, "inputs": {}}))
    with pytest.raises(DataError, match="made by recipes/train"):
        fetch("pubmed_baseline", baseline.url + FOLDER, tmp_path)


LISTINGS = {
    "pre": '<pre><a href="{0}">{0}</a>  2026-01-29 14:48   19M\n<a href="{0}.md5">x</a>  2026-01-29 14:48  60 \n</pre>',
    "table": '<table><tr><td><a href="/b/{0}">{0}</a></td><td>2026-01-29 14:48</td><td> 19M</td></tr>'
    '<tr><td><a href="{0}.md5">x</a></td><td align=right>60</td><td>&nbsp;</td></tr></table>',
    "nginx": '<a href="{0}">{0}</a>   29-Jan-2026 14:48    19922944\r\n<a href="{0}.md5">x..&gt;</a>  Jan  60\r\n',
    "unclosed": "<li><a href={0}>{0}</a> 19M<li><a href=http://h/b/{0}.md5>x</a> 60",
}


@pytest.mark.parametrize("form", LISTINGS)
def test_listings_of_several_servers(form: str) -> None:
    hostile = (
        '<a href="../{0}">x</a><a href="/etc/{0}">x</a><a href="http://evil/b/{0}">x</a><a href="a/{0}">x</a><a>x</a>'
    )
    hostile += '<a href="..%2f{0}">x</a><a href="?C=N">x</a><a href="javascript:{0}">x</a><a href="http://[">x</a>'
    page = ("<html><body>" + hostile.format("pubmed26n0009.xml.gz") + LISTINGS[form].format(NAMES[0])).encode()
    found = [(one.name, one.bytes) for one in parse_listing(page, "http://h/b/")]
    assert found == [(NAMES[0], 19 << 20), (f"{NAMES[0]}.md5", 60)]


def test_what_is_no_listing_is_one_message(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    for body in (b"", b"\x00\xff", b"<html></html>", b"%PDF"):
        server.faults[FOLDER] = [Fault(body=body)]
        with pytest.raises(DataError, match=r"lists no pubmedYYnNNNN\.xml\.gz"):
            fetch("pubmed_baseline", server.url + FOLDER, tmp_path)


def test_the_real_sample_from_a_server_to_documents(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    folder = SHARED / "pubmed_baseline"
    if not folder.is_dir():
        pytest.skip(f"no real sample at {folder}")
    for path in folder.iterdir():
        server.put(FOLDER + path.name, path.read_bytes())
        server.faults[FOLDER + path.name] = [Fault(drop_after=20)]
    fetched, documents = tmp_path / "fetched", tmp_path / "documents"
    fetch("pubmed_baseline", server.url + FOLDER, fetched)
    prepare = [str(ROOT / "yamls/corpus/pubmed_xml.yaml"), f"inputs={fetched}", f"out={documents}"]
    ended = done(recipe("prepare_corpus", *prepare))
    assert "read 78 = written 54" in ended.stdout
    assert list(read_manifest(documents, "prepare_corpus").inputs) == ["pubmed21n0001.xml.gz", "pubmed21n1000.xml.gz"]
