"""Tar packages are read as they are: nothing leaves them, damage is found, every member is accounted for."""

import gzip
import io
import tarfile
import time
from pathlib import Path

import pytest

from medlm_recipes.corpus import archives
from medlm_recipes.corpus.archives import Member, read_members
from medlm_recipes.errors import DataError


def package(*members: tuple[str, str] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1].encode())
                archive.addfile(info, io.BytesIO(member[1].encode()))
    return packed.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path: Path, content: bytes) -> list[Member]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return list(read_members(path, (".xml", ".nxml")))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_member_is_accounted_for_and_none_unpacked(tmp_path: Path, form: int) -> None:
    long = f"{'long/' * 18}ü.xml"
    whole = package(
        special("PMC000xxxxxx", tarfile.DIRTYPE),
        ("PMC000xxxxxx/PMC1.xml", "<article/>"),
        ("/etc/cron.d/x.nxml", "x"),
        ("a/../../x.nxml", "x"),
        special("x.nxml", tarfile.SYMTYPE, "/etc/passwd"),
        special("y.nxml", tarfile.LNKTYPE, "../secret"),
        special("null.nxml", tarfile.CHRTYPE),
        special("../dir", tarfile.DIRTYPE),
        ("figure.jpg", "JFIF"),
        ("empty.nxml", ""),
        (long, "β" * 700),
        form=form,
    )
    expected = [
        Member("PMC000xxxxxx/PMC1.xml", b"<article/>"),
        Member("/etc/cron.d/x.nxml", None, "unsafe_name"),
        Member("a/../../x.nxml", None, "unsafe_name"),
        Member("x.nxml", None, "not_a_file"),
        Member("y.nxml", None, "not_a_file"),
        Member("null.nxml", None, "not_a_file"),
        Member("figure.jpg", None),
        Member("empty.nxml", b""),
        Member(long, ("β" * 700).encode()),
    ]
    assert read(tmp_path / "in" / "a.tar.gz", gzip.compress(whole)) == expected
    assert read(tmp_path / "in" / "a.tar", whole) == expected
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "a.tar.gz", "in"]


def test_a_long_member_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_RECORD_BYTES", 1000)
    whole = package(("a.xml", "x" * 1001), ("b.xml", "x" * 1000))
    assert read(tmp_path / "a.tar", whole) == [Member("a.xml", None, "too_long"), Member("b.xml", b"x" * 1000)]


def test_a_cut_archive_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    whole = package(*((f"{number}.xml", "<article/>" * 30) for number in range(3)))
    content = len(whole.rstrip(b"\0"))
    end = -(-content // 512) * 512  # behind which at least one empty block is the archive's end
    for length in [*range(0, end + 512, 64), end + 511]:
        with pytest.raises(DataError, match=r"a\.tar: (damaged|truncated|cannot).*after \d+ members.*fetch"):
            read(tmp_path / "a.tar", whole[:length])
    assert len(read(tmp_path / "a.tar", whole[: end + 512])) == 3
    packed = gzip.compress(whole)
    for length in range(0, len(packed), 7):
        with pytest.raises(DataError, match=r"a\.tar\.gz: (damaged|truncated|cannot).*after \d+ members.*fetch"):
            read(tmp_path / "a.tar.gz", packed[:length])


def header(name: str, size: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header block whose size field is as given, with a right checksum."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def records(content: bytes) -> bytes:
    """Blocks of pax records for the member behind them."""
    blocks = content.ljust(-(-len(content) // 512) * 512, b"\0")
    return header("pax", b"%011o\0" % len(content), tarfile.XHDTYPE) + blocks


END = b"\0" * 1024
EMPTY = header("b.xml", b"0" * 11 + b"\0")
EIGHT_EXBIBYTES = b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7

HOSTILE = {
    "endless": header("a.xml", EIGHT_EXBIBYTES),
    "endless, to be skipped": header("a.jpg", EIGHT_EXBIBYTES),
    "minus one byte": header("a.xml", b"\xff" * 12),
    "minus a block": header("a.jpg", b"\xff" * 10 + b"\xfe\0") + EMPTY,
    "records of 8 GiB": header("pax", b"77777777777\0", tarfile.XHDTYPE),
    "records that take quadratic time": records(b"1" * 200_000) + EMPTY,
    "records upon records": records(b"14 path=a.xml\n") * 3000 + EMPTY,
    "an endless record": records(b"30 size=999999999999999999999\n") + EMPTY,
    "a negative record": records(b"19 size=-100000000\n") + EMPTY,
    "no number": records(b"12 size=abc\n") + EMPTY + EMPTY[:100],
    "a second archive": package(("a.xml", "")) + package(("b.xml", "")),
    "no archive": b"not a tar" * 200,
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_hostile_archives_end_soon_in_a_data_error(tmp_path: Path, hostile: bytes) -> None:
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"a\.tar: .*fetch the file again"):
        read(tmp_path / "a.tar", hostile + END)
    assert time.monotonic() - begin < 5
