import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medlm_recipes import partial
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, publish, read_manifest


def manifest(**config: object) -> Manifest:
    return Manifest(stage="prepare_corpus", config=dict(config), inputs={"a": "1"})


def test_a_folder_gets_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), publish(out, manifest()) as folder:
        assert folder is not None
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not out.exists() and not list(out.parent.iterdir())
    with publish(out, manifest()) as folder:
        assert folder is not None
        (folder / "whole").write_text("x")
        assert not out.exists()
    assert {path.name for path in out.iterdir()} == {"whole", "manifest.json"}


def test_the_same_work_is_not_done_again_and_other_work_does_not_overwrite_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with publish(out, manifest(seed=1)):
        pass
    with publish(out, manifest(seed=1)) as folder:
        assert folder is None
    with pytest.raises(DataError, match=r"another config \(seed: 1, now 2\)"), publish(out, manifest(seed=2)):
        pass


def test_foreign_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(DataError, match="not an output of this package"), publish(tmp_path, manifest()):
        pass
    assert (tmp_path / "precious").exists()


def test_a_leftover_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    leftover = tmp_path / "out.partial"
    leftover.mkdir()
    (leftover / "stale").write_text("x")
    with publish(out, manifest()):
        pass
    assert {path.name for path in out.iterdir()} == {"manifest.json"}


def test_what_was_begun_from_the_same_is_continued(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fail(begun_from: dict[str, object] | None) -> set[str]:
        """What a failing run finds, after which it adds a file."""
        with pytest.raises(RuntimeError), publish(out, manifest(), begun_from=begun_from) as folder:
            assert folder is not None
            there = {path.name for path in folder.iterdir()} - {".begun.json", ".lock"}
            (folder / "half").write_text("x")
            (folder / ".tasks").mkdir(exist_ok=True)
            raise RuntimeError
        assert not out.exists()
        return there

    assert fail({"seed": 1}) == set()
    assert fail({"seed": 1}) == {"half", ".tasks"}
    assert fail({"seed": 2}) == set()
    assert fail(None) == set() and not out.with_name("out.partial").exists()
    fail({"seed": 2})
    with publish(out, manifest(), begun_from={"seed": 2}):
        pass
    assert {path.name for path in out.iterdir()} == {"half", "manifest.json"}


def test_a_run_that_was_killed_at_its_very_end_is_not_repeated(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "out.partial"
    for of, gives in ((manifest(seed=1), None), (manifest(seed=2), folder)):
        (folder / ".tasks").mkdir(parents=True)
        of.write(folder)
        with publish(out, manifest(seed=1), begun_from={}) as found:
            assert found == gives and (out / "manifest.json").exists() == (not found)
        assert {path.name for path in out.iterdir()} == {"manifest.json"}
        assert read_manifest(out, "prepare_corpus").config == {"seed": 1}
        shutil.rmtree(out)


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with ThreadPoolExecutor() as pool:
        with publish(out, manifest()) as folder:
            assert folder is not None
            waits = pool.submit(lambda: publish(out, manifest()).__enter__())
            time.sleep(0.3)
            assert not waits.done()
            monkeypatch.setattr(partial, "_WAIT_SECONDS", 0)
            with pytest.raises(DataError, match=r"out\.partial: another run writes there"), publish(out, manifest()):
                pass
        assert waits.result() is None  # it found the output made
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert {path.name for path in out.iterdir()} == {"manifest.json"}


def test_reading_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_manifest(tmp_path / "nowhere", "prepare_corpus")
    with pytest.raises(DataError, match="not a finished output"):
        read_manifest(tmp_path, "prepare_corpus")
    manifest().write(tmp_path)
    with pytest.raises(DataError, match=r"made by recipes/prepare_corpus\.py"):
        read_manifest(tmp_path, "train_tokenizer")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path, "prepare_corpus")
