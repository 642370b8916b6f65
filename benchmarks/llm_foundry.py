"""llm-foundry in an environment of its own, some 7 GB, for the benchmarks that run it beside this package."""

import subprocess
import sys
from pathlib import Path

VERSION = "0.22.0"


def python_with_llm_foundry(folder: Path) -> Path:
    """The interpreter of an environment in `folder`, which is made unless it is there."""
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"llm-foundry=={VERSION}"], check=True)
    return python
