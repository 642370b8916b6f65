"""A checkpoint saved again from another number of ranks: `python tests/export/resharded.py FROM TO RANKS`."""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from torch import distributed, multiprocessing
from torch.distributed import checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from medlm_recipes.manifest import hash_file


def reshard(source: Path, out: Path, ranks: int) -> None:
    """Copy the checkpoint folder `source` to `out` with its weights divided over `ranks` processes of FSDP."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.distcp", ".metadata"))
    multiprocessing.spawn(_save, (source, out, ranks), nprocs=ranks)
    manifest = json.loads((out / "manifest.json").read_text())
    files = [path for path in out.iterdir() if path.name != "manifest.json"]
    manifest["facts"]["files"] = {
        path.name: {"bytes": path.stat().st_size, "sha256": hash_file(path)} for path in sorted(files)
    }
    (out / "manifest.json").write_text(json.dumps(manifest))


def _save(rank: int, source: Path, out: Path, ranks: int) -> None:
    distributed.init_process_group(
        "gloo", store=distributed.FileStore(f"{out}.store", ranks), rank=rank, world_size=ranks
    )
    mesh = init_device_mesh("cpu", (ranks,))
    metadata = dcp.FileSystemReader(source).read_metadata().state_dict_metadata
    weights = {
        name: distribute_tensor(torch.empty(one.size, dtype=one.properties.dtype), mesh, [Shard(0)])
        for name, one in metadata.items()
        if name.startswith("state.model.")
    }
    dcp.load(weights, storage_reader=dcp.FileSystemReader(source))
    dcp.save(weights, storage_writer=dcp.FileSystemWriter(out))
    # Destroying the group may wait for ever for a gloo thread that wants the interpreter's lock to free a tensor
    # (pytorch/pytorch#154976), so the process leaves without.
    os._exit(0)


if __name__ == "__main__":
    reshard(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
