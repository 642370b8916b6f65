"""Documents that prepare_corpus wrote, to be joined with others and cleaned again."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import ENDING, SPLITS, Item, read_document_file
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, read_manifest

ENDINGS = (ENDING,)


def read_prepared(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """The documents of a file below a finished folder, as they are; their splits are decided anew.

    Raises DataError for a file that is damaged, or is not <folder>/<split>/<source>/*.jsonl.zst.
    """
    assert not leave_out
    _manifest_of(file)
    return read_document_file(file.path)


def check_folders(files: Sequence[InputFile], config: CorpusConfig) -> None:
    """Say what would surprise. Raises DataError for a folder with copies, of which there would be more copies."""
    manifests = {file.path.absolute().parents[2]: _manifest_of(file) for file in files}
    for folder, manifest in manifests.items():
        if manifest.facts.get("copies") and config.clean.upsample and not config.clean.duplicates:
            raise DataError(
                f"{folder}: holds copies of good documents already; prepare it without clean.upsample, "
                "or drop them by clean.duplicates"
            )
        seed = manifest.config.get("seed")
        if seed != config.seed:
            print(f"notice: {folder} was split by seed {seed}, here it is {config.seed}: documents change their split")


def _manifest_of(file: InputFile) -> Manifest:
    """Of the folder that prepare_corpus wrote and the file stands in."""
    path = file.path.absolute()
    if len(path.parents) < 3 or path.parents[1].name not in SPLITS:
        raise DataError(
            f"{file.path}: does not stand in a split and source of a folder that prepare_corpus wrote; "
            "give such folders as inputs of format documents"
        )
    return _manifest(path.parents[2])


@lru_cache(maxsize=256)
def _manifest(folder: Path) -> Manifest:
    return read_manifest(folder, "prepare_corpus")
