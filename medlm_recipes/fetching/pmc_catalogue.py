"""The articles that a listing of PMC's bucket names: millions, so held in arrays, some 40 bytes each."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.expected import md5_of_etag


@dataclass(frozen=True)
class Article:
    """number: the PMCID's. version: 0 where the layout has none. group: place of its folder in the layout.

    md5: of the object that the listing names, where its ETag is one. bytes: of that object, where known.
    """

    number: int
    version: int
    group: int
    md5: str | None
    bytes: int | None
    retracted: bool

    @property
    def pmcid(self) -> str:
        return f"PMC{self.number}"


def local_name(tree: str, number: int, ending: str) -> str:
    """Where an article's file stands: a thousand PMCIDs a folder; without version, so that a newer one replaces it."""
    return f"{tree}/PMC{number // 1000:05}xxx/PMC{number}{ending}"


class Catalogue:
    """Filled row by row in any order, then read in the order of the PMCIDs."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._versions = array("l")
        self._groups = array("b")
        self._sizes = array("q")
        self._retracted = array("b")
        self._md5s = bytearray()

    def __len__(self) -> int:
        return len(self._numbers)

    def add(
        self,
        number: int,
        version: int,
        *,
        group: int = 0,
        etag: str = "",
        size: int | None = None,
        retracted: bool = False,
    ) -> None:
        self._numbers.append(number)
        self._versions.append(version)
        self._groups.append(group)
        self._sizes.append(-1 if size is None else size)
        self._retracted.append(retracted)
        self._md5s += bytes.fromhex(md5_of_etag(etag) or "0" * 32)

    def choose(self, config: FetchConfig) -> "Chosen":
        """The newest version of every article from `first` to `last`, the first `limit` of them.

        Raises DataError when there is none.
        """
        numbers, versions, groups = (np.asarray(one) for one in (self._numbers, self._versions, self._groups))
        # An article in two licence groups counts as one of the first: it has left the other.
        order = np.lexsort((-groups, versions, numbers))
        newest = order[np.append(numbers[order][1:] != numbers[order][:-1], True)] if len(order) else order
        low, high = config.first or 0, np.iinfo(np.int64).max if config.last is None else config.last
        chosen = newest[(numbers[newest] >= low) & (numbers[newest] <= high)][: config.limit]
        if not len(chosen):
            raise DataError(f"{config.url}: of {len(newest):,} listed articles none has a PMCID from first to last")
        return Chosen(self, chosen)

    def article(self, row: int) -> Article:
        md5 = self._md5s[16 * row : 16 * row + 16].hex()
        size = self._sizes[row]
        return Article(
            self._numbers[row],
            self._versions[row],
            self._groups[row],
            md5 if md5 != "0" * 32 else None,
            size if size >= 0 else None,
            bool(self._retracted[row]),
        )


@dataclass(frozen=True)
class Chosen:
    """Rows of a catalogue, by PMCID."""

    catalogue: Catalogue
    rows: "np.ndarray[tuple[int], np.dtype[np.intp]]"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Article]:
        return (self.catalogue.article(int(row)) for row in self.rows)
