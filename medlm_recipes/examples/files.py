"""From `inputs` to the files of every source, by split."""

from collections.abc import Iterator
from pathlib import Path

from medlm_recipes.config.corpus import slug
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import ENDINGS
from medlm_recipes.errors import DataError

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}

Sources = dict[str, dict[str, InputFile]]
"""By source and split."""


def find_sources(inputs: list[str], form: str) -> Sources:
    """The files that `inputs` name: of folders by their splits, single ones as train.

    Raises DataError when an input is missing, a folder has no train file or two for a split, or two
    inputs have the same name.
    """
    endings = (".source",) if form == "pairs" else (*ENDINGS, ".json")  # BioMedLM's .json are JSON lines
    sources: Sources = {}
    for place in inputs:
        path = Path(place)
        name = slug(path.name.split(".")[0] if path.is_file() else path.name)
        if name in sources:
            raise DataError(f"inputs: {place}: another input is called {name} too; rename one, names are sources")
        if path.is_dir():
            sources[name] = _of_folder(path, name, endings)
        elif path.is_file() and path.name.endswith(endings):
            sources[name] = {"train": InputFile(path, path.name)}
        else:
            raise DataError(f"inputs: {place}: no folder and no file ending in {' or '.join(endings)}")
    return sources


def _of_folder(folder: Path, name: str, endings: tuple[str, ...]) -> dict[str, InputFile]:
    found: dict[str, InputFile] = {}
    for path in sorted(folder.iterdir()):
        stem, _, _ = path.name.partition(".")
        split = next((split for split, names in _NAMES.items() if stem in names), None)
        if split is None or not path.is_file() or not path.name.endswith(endings):
            continue
        if split in found:
            raise DataError(f"{folder}: {found[split].path.name} and {path.name} are both {split}; remove one")
        found[split] = InputFile(path, f"{name}/{path.name}")
    if "train" not in found:
        raise DataError(f"{folder}: has no train file, which ends in {' or '.join(endings)}; give folders with one")
    return found


def companions(file: InputFile) -> Iterator[InputFile]:
    """The file and, of sources of pairs, that of their targets."""
    yield file
    if file.path.suffix == ".source":
        target = file.path.with_suffix(".target")
        if not target.is_file():
            raise DataError(f"{target}: no such file; {file.path.name} needs its targets beside it")
        yield InputFile(target, str(Path(file.name).with_suffix(".target")))
