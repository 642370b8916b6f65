"""Cluster profiles: what of a train recipe depends on the hardware alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.config.fields import at_least, key, positive
from medlm_recipes.config.loading import load_config
from medlm_recipes.errors import ConfigError


@dataclass
class HardwareKeys:
    cluster: str | None = key("the profile that these keys and those of parallel were taken from", None)
    device: str | None = key("type of the accelerators, like a100-40gb; cpu for none", None)
    nodes: int = key("hosts", 1, check=at_least(1))
    devices_per_node: int = key("accelerators of a host, a rank each", 1, check=at_least(1))
    node_gbps: float | None = key(
        "network of a host in Gbit/s, for preflight's time; null: that of the clusters it was calibrated on",
        None,
        check=positive,
    )

    @property
    def ranks(self) -> int | None:
        """Ranks of the whole cluster; None when no profile was taken."""
        return self.nodes * self.devices_per_node if self.cluster else None


@dataclass
class ClusterConfig:
    """A file of yamls/cluster."""

    device: str = key("type of the accelerators, like a100-40gb; cpu for none")
    nodes: int = key("hosts", check=at_least(1))
    devices_per_node: int = key("accelerators of a host, a rank each", check=at_least(1))
    node_gbps: float | None = key("network of a host in Gbit/s; null: see hardware.node_gbps", None, check=positive)
    parallel: dict[str, Any] = key("keys of a train recipe's parallel that suit this hardware")
    recipes: dict[str, Any] = key("recipe's name -> such keys where a recipe's model needs others", {})


def profile_layer(recipe: Path, given: dict[str, Any]) -> dict[str, Any]:
    """What the profile that a train recipe's `cluster` names lays over the recipe file's keys.

    A name is that of a file in `cluster/` beside the recipe's folder; anything with a slash or a
    suffix is a path. Nothing when there is none, or when `given` is a run's resolved config, which
    its profile was laid over before the overrides of its launch were. Raises ConfigError for a
    profile that is missing or malformed.
    """
    name, hardware = given.get("cluster"), given.get("hardware")
    if name is None or (isinstance(hardware, dict) and hardware.get("cluster") == name):
        return {}
    if not isinstance(name, str):
        raise ConfigError(f"cluster: {name!r} is neither the name of a profile nor a path")
    folder = recipe.parent.parent / "cluster"
    path = Path(name) if "/" in name or Path(name).suffix else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"cluster: {name}: no such file ({path}); profiles in {folder}: {known}")
    profile = load_config(ClusterConfig, path)
    return {
        "parallel": profile.parallel | profile.recipes.get(recipe.stem, {}),
        "hardware": {
            "cluster": name,
            "device": profile.device,
            "nodes": profile.nodes,
            "devices_per_node": profile.devices_per_node,
            "node_gbps": profile.node_gbps,
        },
    }
