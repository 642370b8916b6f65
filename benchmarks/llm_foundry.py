"""An environment with llm-foundry, beside this package's own: for benchmarks that run both.

llm-foundry 0.22.0 pins what this package pins, so the environment sees this one's packages and adds
llm-foundry and what it imports besides, without dependencies of theirs that would replace a pin.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

VERSION = "0.22.0"
_BESIDES = [
    "beautifulsoup4", "boto3-stubs", "cachetools", "catalogue", "databricks-sdk", "einops", "gitdb", "gitpython",
    "importlib-metadata", "mlflow-skinny==2.18.0", "onnx", "opentelemetry-api", "opentelemetry-sdk",
    "opentelemetry-semantic-conventions", "pydantic", "pydantic-core", "slack-sdk", "smmap", "soupsieve", "sqlparse",
    "tenacity", "typer", "typing-inspection", "zipp",
]  # fmt: skip


def python_with_llm_foundry(folder: Path) -> Path:
    """The interpreter of an environment in `folder`, which is made unless it is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        (own,) = folder.glob("lib/python*/site-packages")
        (own / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*install, f"llm-foundry=={VERSION}", *_BESIDES], check=True)
    return python
