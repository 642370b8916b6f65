"""However a run is laid over ranks, its loss, gradient norm and validation are those of one rank."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from launch import ROOT, STEP_TOKENS, STEPS, composer, done, refused, rows, train_arguments, verb

from medlm_recipes.callbacks.checkpoint_names import checkpoint_folders, tokens_of
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.training.plan import check_ranks
from medlm_recipes.training.run_folder import damaged_files

HSDP = ["parallel.replicas=2"]
LLAMA = ["model.name=llama", "model.n_ffn=96", "model.n_kv_head=2"]
TP = [*LLAMA, "parallel.tensor_parallel=2"]

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train on `ranks` ranks; `after` copies a run as it was at `steps` steps, to go on from there."""

    def run(ranks: int, *overrides: str, after: tuple[Path, int] | None = None) -> Path:
        folder = tmp_path_factory.mktemp("layout") / "run"
        if after:
            shutil.copytree(after[0], folder)
            (folder / "manifest.json").unlink()
            for checkpoint in checkpoint_folders(folder):
                if tokens_of(checkpoint) > after[1] * STEP_TOKENS:
                    shutil.rmtree(checkpoint)
        launch = done(composer(ranks, "train", *train_arguments(line, folder, *overrides)))
        assert ("resuming from" in launch.stdout) == bool(after)
        return folder

    return run


@pytest.fixture(scope="module")
def hybrid(train: Train) -> Path:
    return train(4, *HSDP)


@pytest.fixture(scope="module")
def divided(train: Train) -> Path:
    return train(2, *TP)


def assert_alike(one: Path, other: Path) -> None:
    """The first 20 steps, clipping at work, and the validations after 10 and 20 of them."""
    for a, b in zip(rows(one, "train")[:20], rows(other, "train")[:20], strict=True):
        assert abs(a["loss"] - b["loss"]) < 1e-5
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)
        assert a["gradient_norm"] > 0.3  # so clipping was at work
    for a, b in zip(rows(one, "validation")[:2], rows(other, "validation")[:2], strict=True):
        assert abs(a["loss"] - b["loss"]) < 1e-5


@pytest.mark.thorough
def test_hybrid_sharding_2x2_equals_one_rank(one_rank: Path, hybrid: Path) -> None:
    assert_alike(one_rank, hybrid)


@pytest.mark.thorough
def test_hybrid_sharding_saves_one_replica_and_resumes_to_the_same_end(hybrid: Path, train: Train) -> None:
    checkpoint = hybrid / "checkpoints" / f"tok{20 * STEP_TOKENS}"
    files = {path.name for path in checkpoint.iterdir()}
    assert files == {".metadata", "__0_0.distcp", "__1_0.distcp", "manifest.json"}
    assert read_manifest(checkpoint, "train").facts["files"].keys() == files - {"manifest.json"}
    assert not damaged_files(checkpoint)
    again = train(4, *HSDP, after=(hybrid, 20))
    assert (again / "metrics.jsonl").read_text() == (hybrid / "metrics.jsonl").read_text()


@pytest.mark.thorough
def test_fsdp2_on_four_ranks_equals_one_rank(one_rank: Path, train: Train) -> None:
    assert_alike(one_rank, train(4))


@pytest.mark.thorough
def test_from_two_ranks_a_run_goes_on_over_four_and_then_on_one_with_the_same_samples(
    trained: Path, one_rank: Path, train: Train
) -> None:
    """Ten steps on other samples would differ in the first digits."""
    four = train(4, after=(trained, 10))
    assert rows(four, "train")[:10] == rows(trained, "train")[:10] and len(rows(four, "train")) == STEPS
    assert_alike(one_rank, four)
    one = train(1, after=(four, 20))
    assert rows(one, "train")[:20] == rows(four, "train")[:20] and rows(one, "train")[20:] != rows(four, "train")[20:]
    for run in (four, one):
        later = zip(rows(trained, "train")[10:30], rows(run, "train")[10:30], strict=True)
        assert max(abs(a["loss"] - b["loss"]) for a, b in later) < 1e-5


def test_tensor_parallelism_1x2_equals_one_rank(divided: Path, train: Train) -> None:
    one = train(1, *LLAMA, "parallel.fsdp=false")
    assert_alike(one, divided)
    assert [row["tokens"] for row in rows(divided, "train")] == [row["tokens"] for row in rows(one, "train")]


@pytest.mark.thorough
def test_tensor_parallelism_resumes_to_the_same_end(divided: Path, train: Train) -> None:
    again = train(2, *TP, after=(divided, 20))
    assert (again / "metrics.jsonl").read_text() == (divided / "metrics.jsonl").read_text()


@pytest.mark.thorough
def test_tensor_parallelism_goes_on_with_fsdp_and_without(divided: Path, train: Train) -> None:
    """Four ranks as 2x2, then sharded alone: what a run is laid over may change, its samples do not."""
    four = train(4, *TP, "parallel.activation_checkpointing=true", after=(divided, 10))
    alone = train(2, *LLAMA, after=(four, 20))
    assert_alike(divided, alone)
    later = zip(rows(divided, "train")[20:], rows(alone, "train")[20:], strict=True)
    assert max(abs(a["loss"] - b["loss"]) for a, b in later) < 1e-5


@pytest.mark.parametrize("override", ["parallel.fsdp_version=1", "parallel.precision=amp_bf16"])
def test_what_needs_a_gpu_is_refused_without_one(line: Path, tmp_path: Path, override: str) -> None:
    refused(verb("train", *train_arguments(line, tmp_path / "run", override)), "runs on GPUs only")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["parallel.replicas=4"], "4 does not divide the 2 ranks"),
        (
            [*LLAMA, "model.n_head=8", "model.n_kv_head=4", "parallel.tensor_parallel=4"],
            "4 does not divide the 2 ranks",
        ),
        (["parallel.tensor_parallel=2"], "only model.name llama"),
        ([*LLAMA, "model.n_kv_head=1", "parallel.tensor_parallel=2"], "does not divide model.n_kv_head 1"),
        (["parallel.replicas=2", "parallel.fsdp=false"], "needs fsdp: true"),
        (["parallel.activation_checkpointing=true", "parallel.fsdp=false"], "no effect without fsdp"),
        ([*TP, "parallel.replicas=2"], "Composer would save only a part"),
        ([*TP, "parallel.fsdp_version=1"], "needs fsdp_version: 2"),
    ],
)
def test_what_no_ranks_can_run_is_refused(overrides: list[str], words: str) -> None:
    path, *rest = train_arguments(Path("x"), Path("x"), *overrides)
    with pytest.raises(ConfigError, match=words):
        check_ranks(load_config(TrainConfig, ROOT / path, rest), 2)
