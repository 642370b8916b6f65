"""Which records of a set of PubMed files are out of date.

NLM never edits its baseline: an update file repeats a revised citation and lists the deleted ones.
A first pass notes the PMID, version and position of every record; the record with the highest
(version, file, position) of a PMID is kept, and a DeleteCitation removes what stood in its own or
earlier files.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.corpus.compressed import DAMAGE, damaged, open_input
from medlm_recipes.corpus.pubmed_records import ARTICLE, DELETION, deleted_by, key_of, parse_version, read_records

SUPERSEDED, DELETED = "superseded", "deleted"

_CHUNK = 1 << 22
_RECORDS_AT_ONCE = 1 << 22  # bounds the sorting's memory to some 200 MB however many records there are


@dataclass(frozen=True)
class Scan:
    """The articles of one file in their order (pmid 0: none given) and the PMIDs that it deletes."""

    pmids: NDArray[np.int64]
    versions: NDArray[np.int16]
    deleted: NDArray[np.int64]


def scan(path: Path) -> Scan:
    """First pass over one file. Raises DataError for a missing or damaged file."""
    try:
        found = _scan_bytes(path)
    except DAMAGE as error:
        raise damaged(path, error, "in the first pass") from None
    pmids, versions, deleted = found or _scan_tree(path)
    return Scan(np.array(pmids, np.int64), np.array(versions, np.int16), np.array(deleted, np.int64))


def out_of_date(scans: Sequence[Scan]) -> list[dict[int, str]]:
    """For each file: position among its articles -> `superseded` or `deleted`."""
    result: list[dict[int, str]] = [{} for _ in scans]
    total = sum(len(one.pmids) for one in scans)
    slices = 1 + total // _RECORDS_AT_ONCE
    for part in range(slices):
        for file, position, reason in _out_of_date(scans, part, slices):
            result[file][position] = reason
    return result


def _out_of_date(scans: Sequence[Scan], part: int, slices: int) -> Iterator[tuple[int, int, str]]:
    """The same for the PMIDs that leave the remainder `part` when divided by `slices`."""
    positions = [np.flatnonzero((one.pmids > 0) & (one.pmids % slices == part)) for one in scans]
    pmid = np.concatenate([one.pmids[at] for one, at in zip(scans, positions, strict=True)])
    version = np.concatenate([one.versions[at] for one, at in zip(scans, positions, strict=True)])
    file = np.repeat(np.arange(len(scans)), [len(at) for at in positions])
    position = np.concatenate(positions)

    last_deletion: dict[int, int] = {}
    for number, one in enumerate(scans):
        last_deletion.update((int(gone), number) for gone in one.deleted if gone % slices == part)
    is_deleted = np.zeros(len(pmid), bool)
    if last_deletion:
        suspects = np.flatnonzero(np.isin(pmid, np.fromiter(last_deletion, np.int64)))
        is_deleted[suspects] = [file[index] <= last_deletion[int(pmid[index])] for index in suspects]

    left = np.flatnonzero(~is_deleted)
    order = left[np.lexsort((position[left], file[left], version[left], pmid[left]))]
    followed_by_same = np.flatnonzero(pmid[order][:-1] == pmid[order][1:])
    for indices, reason in ((np.flatnonzero(is_deleted), DELETED), (order[followed_by_same], SUPERSEDED)):
        yield from ((int(file[index]), int(position[index]), reason) for index in indices)


_Found = tuple[list[int], list[int], list[int]]


def _scan_tree(path: Path) -> _Found:
    pmids: list[int] = []
    versions: list[int] = []
    deleted: list[int] = []
    for element in read_records(path):
        if element.tag == ARTICLE:
            key = key_of(element)
            pmids.append(key.pmid if key else 0)
            versions.append(key.version if key else 1)
        elif element.tag == DELETION:
            deleted += deleted_by(element)
    return pmids, versions, deleted


# The quick way looks at the bytes; it takes only files written as NLM writes them, where a tag's
# bytes can be nothing but that tag. Every other file goes the slow way, through the parser.
_ARTICLE_START = b"<PubmedArticle>"
_ANY_ARTICLE = re.compile(rb"<PubmedArticle[\s/>]")
_ARTICLE = re.compile(
    rb"<PubmedArticle>\s*<MedlineCitation(?:\s[^>]*)?>\s*<PMID(?:\s+Version=[\"'](\d{1,4})[\"'])?\s*>\s*(\d{1,18})\s*</PMID>"
)
_ANY_DELETION = re.compile(rb"<DeleteCitation[\s/>]")
_DELETION = re.compile(rb"<DeleteCitation>(?:\s*<PMID[^>]*>\s*\d{1,18}\s*</PMID>)*\s*</DeleteCitation>")
_DELETED_PMID = re.compile(rb">\s*(\d+)\s*<")
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*?encoding=[\"'](?i:utf-8|us-ascii|iso-8859-1)[\"'][^>]*>\s*)?<[!P]"
)
_INSTRUCTION = re.compile(rb"<\?[^<>]*\?>")
_AMBIGUOUS = (b"<!--", b"<![CDATA[", b"<!ENTITY", b"\0")


def _scan_bytes(path: Path) -> _Found | None:
    """PMIDs, versions and deletions; None for a file that is not written in NLM's way."""
    pmids: list[int] = []
    versions: list[int] = []
    deleted: list[int] = []
    for number, block in enumerate(_blocks(path)):
        articles = _ARTICLE.findall(block)
        deletions = _DELETION.findall(block)
        if (
            any(mark in block for mark in _AMBIGUOUS)
            or len(_INSTRUCTION.findall(block)) != block.count(b"<?")
            or (number == 0 and not _HEAD.match(block))
            or len(_ANY_ARTICLE.findall(block)) != len(articles)
            or len(_ANY_DELETION.findall(block)) != len(deletions)
        ):
            return None
        pmids += [int(pmid) for _, pmid in articles]
        versions += [parse_version(version.decode() or "1") for version, _ in articles]
        deleted += [int(pmid) for deletion in deletions for pmid in _DELETED_PMID.findall(deletion)]
    return pmids, versions, deleted


def _blocks(path: Path) -> Iterator[bytes]:
    """The file in pieces that end where an article begins, so that no record is cut."""
    held = b""
    with open_input(path) as stream:
        while chunk := stream.read(_CHUNK):
            held += chunk
            cut = held.rfind(_ARTICLE_START)
            if cut > 0:
                yield held[:cut]
                held = held[cut:]
            elif len(held) > 1 << 26:
                yield held + _ARTICLE_START  # no record of NLM's is this long: not their way
                return
    yield held
