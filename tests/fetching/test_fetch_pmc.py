"""fetch_corpus on PMC's bucket, in both layouts and by both listings."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from fetch_server import Fault, Fetch, Server, md5
from launch import SHARED

from medlm_recipes.errors import DataError
from medlm_recipes.fetching.pmc import license_group

BUCKET = "/pmc-oa-opendata/"
INVENTORY = f"{BUCKET}inventory-reports/pmc-oa-opendata/metadata/"


def put_article(server: Server, number: int, version: int = 1, text: str = "text", **metadata: Any) -> None:
    """An article version as the bucket's README describes it."""
    name = f"PMC{number}.{version}"
    xml = f"<article>{text} {name}</article>".encode()
    fields = {
        "pmcid": f"PMC{number}",
        "version": version,
        "license_code": "CC BY",
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_retracted": False,
        "xml_url": f"s3://pmc-oa-opendata/{name}/{name}.xml?md5={md5(xml)}",
        **metadata,
    }
    server.put(f"{BUCKET}{name}/{name}.xml", xml)
    server.put(f"{BUCKET}{name}/{name}.json", json.dumps(fields).encode())
    server.put(f"{BUCKET}metadata/{name}.json", json.dumps(fields).encode())


def put_inventory(server: Server, date: str) -> None:
    """S3's daily inventory in two files, with what else such a folder holds."""
    keys = [path for path in sorted(server.files) if path.startswith(BUCKET + "metadata/")]
    rows = [
        f'"pmc-oa-opendata","{key.removeprefix(BUCKET)}","2026-06-27T19:16:52.000Z","{server.etag(key)[1:-1]}"\n'
        for key in [*keys, f"{BUCKET}metadata/README.txt", f"{BUCKET}PMC1.1/PMC1.1.xml"]
        if key in server.files
    ]
    files = []
    for part, some in enumerate((rows[::2], rows[1::2])):
        content = gzip.compress("".join(some).encode())
        server.put(f"{INVENTORY}data/{date}-{part}.csv.gz", content)
        key = f"{INVENTORY}data/{date}-{part}.csv.gz".removeprefix(BUCKET)
        files.append({"key": key, "size": len(content), "MD5checksum": md5(content)})
    manifest = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, LastModifiedDate, ETag", "files": files}
    server.put(f"{INVENTORY}{date}/manifest.json", json.dumps(manifest).encode())
    server.put(f"{INVENTORY}hive/dt={date}/symlink.txt", b"")


@pytest.fixture
def bucket(server: Server) -> Server:
    put_article(server, 13901, license_code=None)
    put_article(server, 176545, 1, "manuscript")
    put_article(server, 176545, 2, "published")
    put_article(server, 176546, license_code="CC BY-NC-ND")
    put_article(server, 176547, is_retracted=True, license_code="CC0")
    put_article(server, 9999999, license_code="TDM", is_pmc_openaccess=False, is_manuscript=True)
    put_article(server, 10009416, license_code="CC BY", xml_url=None)
    put_inventory(server, "2026-09-20T01-00Z")
    put_article(server, 10009417, license_code="CC BY-SA")
    put_inventory(server, "2026-09-21T01-00Z")
    return server


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("listing", ["index", "bucket"])
def test_newest_versions_of_the_wanted_licences(
    bucket: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str], listing: str
) -> None:
    url = bucket.url + BUCKET
    fetch("pmc_oa", url, tmp_path, f"pmc.listing={listing}", dry_run=True)
    assert "7 articles by" in capsys.readouterr().out and not tree(tmp_path)
    facts = fetch("pmc_oa", url, tmp_path, f"pmc.listing={listing}")
    texts = [path for path in tree(tmp_path) if path.startswith("xml/")]
    assert texts == [
        "xml/PMC00176xxx/PMC176545.xml",
        "xml/PMC00176xxx/PMC176547.xml",
        "xml/PMC10009xxx/PMC10009417.xml",
    ]
    assert b"published PMC176545.2" in (tmp_path / texts[0]).read_bytes()
    assert json.loads((tmp_path / "metadata/PMC00176xxx/PMC176545.json").read_text())["version"] == 2
    assert facts["files"] == 10 and facts["filled_from"] == {"source": "pmc_oa"}
    assert facts["not_wanted"] == {"author_manuscript": 1, "no_xml": 1, "oa_noncomm": 1, "oa_other": 1}
    assert "notice: 1 retracted, and fetched" in capsys.readouterr().out

    bucket.forget()
    fetch("pmc_oa", url, tmp_path, f"pmc.listing={listing}")
    assert not any(path.endswith((".json", ".xml")) for path, _ in bucket.asked if "inventory" not in path)
    assert "0 files fetched, 10 kept" in capsys.readouterr().out


def test_more_licences_later_and_a_part_of_the_articles(bucket: Server, tmp_path: Path, fetch: Fetch) -> None:
    url, chosen = bucket.url + BUCKET, ["first=176545", "last=176547", "limit=2"]
    assert fetch("pmc_oa", url, tmp_path, *chosen)["files"] == 3
    bucket.forget()
    assert fetch("pmc_oa", url, tmp_path, *chosen, "pmc.licenses=[oa_comm,oa_noncomm]")["files"] == 4
    assert [path for path, _ in bucket.asked if "/PMC" in path] == [f"{BUCKET}PMC176546.1/PMC176546.1.xml"]
    every = "pmc.licenses=[oa_comm,oa_noncomm,oa_other,author_manuscript]"
    assert fetch("pmc_oa", url, tmp_path, every)["not_wanted"] == {"no_xml": 1}
    with pytest.raises(DataError, match="none has a PMCID from first to last"):
        fetch("pmc_oa", url, tmp_path, "first=10009418")


def test_a_bucket_that_is_newer_than_its_inventory(
    bucket: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = bucket.url + BUCKET
    fetch("pmc_oa", url, tmp_path)
    put_article(bucket, 176547, 1, "corrected", license_code="CC0")
    put_inventory(bucket, "2026-09-22T01-00Z")
    put_article(bucket, 176545, 2, "corrected too")
    put_article(bucket, 176545, 3, "not listed yet")
    (tmp_path / "metadata/PMC00176xxx/PMC176545.json").unlink()
    fetch("pmc_oa", url, tmp_path)
    assert b"corrected PMC176547.1" in (tmp_path / "xml/PMC00176xxx/PMC176547.xml").read_bytes()
    assert b"corrected too PMC176545.2" in (tmp_path / "xml/PMC00176xxx/PMC176545.xml").read_bytes()
    put_inventory(bucket, "2026-09-23T01-00Z")
    fetch("pmc_oa", url, tmp_path)
    assert b"PMC176545.3" in (tmp_path / "xml/PMC00176xxx/PMC176545.xml").read_bytes()
    del bucket.files[f"{BUCKET}metadata/PMC10009417.1.json"]
    put_inventory(bucket, "2026-09-24T01-00Z")
    capsys.readouterr()
    fetch("pmc_oa", url, tmp_path, "pmc.licenses=[oa_noncomm]")
    # What PMC has taken back and what is not wanted any more is left alone, and told.
    assert (tmp_path / "xml/PMC10009xxx/PMC10009417.xml").exists()
    assert "notice: 3 other files among them, like" in capsys.readouterr().out


def test_wrong_bytes_and_wrong_metadata_are_failures(bucket: Server, tmp_path: Path, fetch: Fetch) -> None:
    xml = f"{BUCKET}PMC176547.1/PMC176547.1.xml"
    bucket.files[xml] = b"other bytes than the metadata says"
    put_article(bucket, 176545, 3, xml_url="s3://pmc-oa-opendata/../../etc/passwd?md5=0")
    put_article(bucket, 10009417, 1, pmcid="PMC1")
    bucket.faults[f"{BUCKET}metadata/PMC13901.1.json"] = [Fault(body=b"{")] * 3
    with pytest.raises(DataError) as caught:
        fetch("pmc_oa", bucket.url + BUCKET, tmp_path, "pmc.listing=bucket")
    message = str(caught.value)
    assert "4 of 7 could not be fetched" in message
    assert "PMC13901.1.json: its MD5 is" in message and "PMC176547.1.xml: its MD5 is" in message
    assert "is no .xml of PMC176545.3/" in message and "not the metadata of PMC10009417" in message
    assert not [path for path in tree(tmp_path) if path.startswith("xml/") and path.endswith(".xml")]


def put_classic(server: Server, group: str, number: int, **row: str) -> None:
    """An article of the classic layout and its row of the file list."""
    key = f"{group}/xml/all/PMC{number}.xml"
    server.put(BUCKET + key, f"<article>{number}</article>".encode())
    path = f"{BUCKET}{group}/xml/metadata/csv/{group}.filelist.csv"
    head = "Key,ETag,Article Citation,AccessionID,Last Updated UTC (YYYY-MM-DD HH:MM:SS),PMID,License,Retracted\n"
    etag = server.etag(BUCKET + key)[1:-1]
    line = f'{key},{etag},"Breast Cancer Res. 2001 Nov 2; 3(1):55-60",PMC{number},2021-09-16 10:06:58,11250746,CC BY,'
    server.files[path] = server.files.get(path, head.encode()) + f"{line}{row.get('retracted', 'no')}\n".encode()


@pytest.mark.parametrize("listing", ["index", "bucket"])
def test_the_classic_layout(
    server: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str], listing: str
) -> None:
    for number in (13901, 13900, 10009416):
        put_classic(server, "oa_comm", number, retracted="yes" if number == 13900 else "no")
    put_classic(server, "oa_noncomm", 13902)
    put_classic(server, "oa_noncomm", 13901)  # has changed its group: the first one given counts
    put_classic(server, "oa_other", 13903)
    given = ["pmc.layout=classic", f"pmc.listing={listing}", "pmc.licenses=[oa_comm,oa_noncomm]"]
    url = server.url + BUCKET
    assert fetch("pmc_oa", url, tmp_path, *given)["files"] == 4
    texts = [path for path in tree(tmp_path) if path.startswith("xml/")]
    assert texts == [*(f"xml/PMC00013xxx/PMC{n}.xml" for n in (13900, 13901, 13902)), "xml/PMC10009xxx/PMC10009416.xml"]
    assert f"\t{url}oa_comm/xml/all/PMC13901.xml\n" in (tmp_path / "files.tsv").read_text()
    lists = [path for path in tree(tmp_path) if path.startswith("filelists/")]
    if listing == "index":
        assert lists == ["filelists/oa_comm.filelist.csv", "filelists/oa_noncomm.filelist.csv"]
        assert "1 retracted" in capsys.readouterr().out
    else:
        assert not lists and "of unknown size" not in capsys.readouterr().out
    server.forget()
    fetch("pmc_oa", url, tmp_path, *given)
    assert not any(path.endswith(".xml") for path, _ in server.asked)


def test_what_is_no_bucket_is_one_message(bucket: Server, tmp_path: Path, fetch: Fetch) -> None:
    url = bucket.url + BUCKET
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><ListBucketResult>&b;</ListBucketResult>'
    loop = b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>k</Key></Contents></ListBucketResult>"
    for body, words in (
        (b"<html>", "does not answer as an S3 bucket"),
        (b"<Error><Code>NoSuchBucket</Code></Error>", "answers with <Error>"),
        (bomb, "its listing has no metadata/PMC<n>"),
        (loop, "does not go on where it was cut"),
    ):
        bucket.faults[BUCKET] = [Fault(body=body)] * 2
        with pytest.raises(DataError, match=words):
            fetch("pmc_oa", url, tmp_path, "pmc.listing=bucket")
    bucket.faults.clear()
    with pytest.raises(DataError, match=r"has no inventory under elsewhere/; set pmc\.listing=bucket"):
        fetch("pmc_oa", url, tmp_path, "pmc.inventory=elsewhere/")
    with pytest.raises(DataError, match=r"oa_comm\.filelist\.csv: 404"):
        fetch("pmc_oa", url, tmp_path, "pmc.layout=classic")
    with pytest.raises(DataError, match=r"has no xml/all/PMC<n>\.xml; see pmc\.layout"):
        fetch("pmc_oa", url, tmp_path, "pmc.layout=classic", "pmc.listing=bucket")
    bucket.files[f"{INVENTORY}2026-09-21T01-00Z/manifest.json"] = (
        b'{"fileFormat": "ORC", "fileSchema": "", "files": []}'
    )
    with pytest.raises(DataError, match=r"manifest\.json: no manifest of an S3 inventory in CSV"):
        fetch("pmc_oa", url, tmp_path)
    assert not tree(tmp_path)


def test_a_mirror_with_a_prefix(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    put_article(server, 176545)
    put_inventory(server, "2026-09-20T01-00Z")
    for path in list(server.files):
        server.files[path.replace(BUCKET, "/bucket/copies/pmc/", 1)] = server.files.pop(path)
    for listing in ("index", "bucket"):
        out = tmp_path / listing
        given = ["pmc.prefix=copies/pmc/", f"pmc.listing={listing}"]
        assert fetch("pmc_oa", f"{server.url}/bucket", out, *given)["files"] == 2


def test_a_copy_with_the_article_folders_alone(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    put_article(server, 176545)
    put_article(server, 176545, 2)
    for path in [path for path in server.files if "/metadata/" in path]:
        del server.files[path]
    fetch("pmc_oa", server.url + BUCKET, tmp_path, "pmc.listing=bucket")
    assert b"PMC176545.2" in (tmp_path / "xml/PMC00176xxx/PMC176545.xml").read_bytes()


def test_the_real_articles_through_a_bucket(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    folder = SHARED / "pmc_oa"
    if not folder.is_dir():
        pytest.skip(f"no real sample at {folder}")
    samples = sorted(folder.glob("*.nxml"))
    for number, path in enumerate(samples, 1):
        put_article(server, number)
        key = f"{BUCKET}PMC{number}.1/PMC{number}.1.xml"
        metadata = {
            "pmcid": f"PMC{number}",
            "license_code": "CC BY 4.0",
            "xml_url": f"s3://b/PMC{number}.1/PMC{number}.1.xml",
        }
        server.put(key, path.read_bytes())
        server.put(f"{BUCKET}metadata/PMC{number}.1.json", json.dumps(metadata).encode())
        server.faults[key] = [Fault(drop_after=30_000)]
    fetch("pmc_oa", server.url + BUCKET, tmp_path, "pmc.listing=bucket")
    for number, path in enumerate(samples, 1):
        assert (tmp_path / f"xml/PMC00000xxx/PMC{number}.xml").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("code", "open_access", "manuscript", "group"),
    [
        ("CC BY", True, False, "oa_comm"),
        ("cc by-sa 4.0", True, False, "oa_comm"),
        ("CC0 1.0", True, True, "oa_comm"),
        ("CC BY-NC-SA", True, False, "oa_noncomm"),
        (None, True, False, "oa_other"),
        ("other", True, False, "oa_other"),
        ("TDM", False, True, "author_manuscript"),
        (None, False, False, "not_open_access"),
    ],
)
def test_licence_groups(code: str | None, open_access: bool, manuscript: bool, group: str) -> None:
    metadata = {"license_code": code, "is_pmc_openaccess": open_access, "is_manuscript": manuscript}
    assert license_group(metadata) == group
