import hashlib
from pathlib import Path

import pytest

from medlm_recipes.checksums import digest_file, parse_companion, verified_sha256
from medlm_recipes.errors import DataError

MD5 = "25245b916edc7bbb63a0926168258d4f"


@pytest.mark.parametrize(
    "content",
    [
        f"MD5(pubmed21n0001.xml.gz)= {MD5}\n",
        f"MD5 (pubmed21n0001.xml.gz) = {MD5.upper()}\r\n",
        f"{MD5}  pubmed21n0001.xml.gz\n",
        f"{MD5} *pubmed21n0001.xml.gz",
        MD5,
    ],
)
def test_companions_in_every_usual_form(content: str) -> None:
    assert parse_companion(content.encode()) == MD5


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", MD5[:-1].encode(), b"\xff\x00", b"MD5(x)= ?"])
def test_what_names_no_md5(content: bytes) -> None:
    assert parse_companion(content) is None


def test_a_companion_that_names_two_names_none() -> None:
    assert parse_companion(f"{MD5}  a\n{MD5[::-1]}  b\n".encode()) is None
    assert parse_companion(f"MD5({MD5[::-1]}.gz)= {MD5}".encode()) == MD5


def test_a_file_is_held_to_its_companion(tmp_path: Path) -> None:
    path, companion = tmp_path / "a.xml.gz", tmp_path / "a.xml.gz.md5"
    path.write_bytes(b"abc" * 1_000_000)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert verified_sha256(path) == sha256
    companion.write_text(f"MD5(a.xml.gz)= {hashlib.md5(path.read_bytes()).hexdigest()}\n")
    assert verified_sha256(path) == sha256 == digest_file(path).sha256
    companion.write_text(f"MD5(a.xml.gz)= {MD5}\n")
    with pytest.raises(DataError, match=rf"a\.xml\.gz: damaged: its MD5 is .*, but a\.xml\.gz\.md5 says {MD5}"):
        verified_sha256(path)
    companion.write_text("<html>")
    with pytest.raises(DataError, match=r"a\.xml\.gz\.md5: names no MD5"):
        verified_sha256(path)
