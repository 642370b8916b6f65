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

from medlm_recipes.corpus.compressed import DAMAGE, damaged
from medlm_recipes.corpus.pubmed_records import DELETION, deleted_by, key_of, parse_version, read_records
from medlm_recipes.corpus.pubmed_slices import OtherForm, record_slices

SUPERSEDED, DELETED = "superseded", "deleted"

_RECORDS_AT_ONCE = 1 << 22  # bounds the sorting's memory to some 200 MB however many records there are


@dataclass(frozen=True)
class Scan:
    """The articles and book articles of one file in their order (pmid 0: none given) and the PMIDs that it deletes."""

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
        if element.tag == DELETION:
            deleted += deleted_by(element)
        else:
            key = key_of(element)
            pmids.append(key.pmid if key else 0)
            versions.append(key.version if key else 1)
    return pmids, versions, deleted


# The quick way looks at the bytes of files written in NLM's way. What could hide or feign a tag there
# (comments, CDATA, odd instructions), and records that do not begin with their PMID, are for the parser.
_PMID = rb"<PMID(?:\s+Version=[\"'](\d{1,4})[\"'])?\s*>\s*(\d{1,18})\s*</PMID>"
_CITATION = re.compile(
    rb"<Pubmed(?:Article>\s*<MedlineCitation(?:\s[^>]*)?|BookArticle>\s*<BookDocument(?:\s[^>]*)?)>\s*" + _PMID
)
_DELETION = re.compile(rb"<DeleteCitation>(?:\s*<PMID[^>]*>\s*\d{1,18}\s*</PMID>)*\s*</DeleteCitation>")
_DELETED_PMID = re.compile(rb">\s*(\d+)\s*<")
_INSTRUCTION = re.compile(rb"<\?[^<>]*\?>")


def _scan_bytes(path: Path) -> _Found | None:
    """PMIDs, versions and deletions; None for a file that is not written in NLM's way."""
    pmids: list[int] = []
    versions: list[int] = []
    deleted: list[int] = []
    try:
        for record in record_slices(path):
            if b"!" in record and b"<!" in record:  # one byte is looked for ten times faster than two
                return None
            if b"?" in record and len(_INSTRUCTION.findall(record)) != record.count(b"<?"):
                return None
            if citation := _CITATION.match(record):
                pmids.append(int(citation[2]))
                versions.append(parse_version((citation[1] or b"1").decode()))
            elif _DELETION.fullmatch(record):
                deleted += map(int, _DELETED_PMID.findall(record))
            else:
                return None
    except OtherForm:
        return None
    return pmids, versions, deleted
