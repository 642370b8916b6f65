"""What preflight knows of accelerators: data-sheet figures, and which measurements speak for them."""

from dataclasses import dataclass

from medlm_recipes.token_math import bf16_peak


@dataclass(frozen=True)
class Device:
    """bandwidth: of device memory, bytes/s. link: to the other accelerators of its host, bytes/s each way.

    node_gbps: of the network of a host where the measurements were made, Gbit/s. watts: at most.
    measured_as: the GPU of the reference table whose measurements are nearest.
    """

    bandwidth: float
    link: float
    node_gbps: float
    watts: float
    measured_as: str


# NVIDIA's data sheets (A100 June 2021, H100 SXM 2023, H200 2024): memory bandwidth, half of NVLink's total of both
# ways, maximum power. Networks: llm-foundry's table names 1600 Gbps for its A100 clusters and none for its H100
# ones; 8 ConnectX-7 of 400 Gbps are NVIDIA's DGX H100.
DEVICES = {
    "a100-40gb": Device(1.555e12, 300e9, 1600, 400, "a100-40gb"),
    "a100-80gb": Device(2.039e12, 300e9, 1600, 400, "a100-80gb"),
    "h100-80gb": Device(3.35e12, 450e9, 3200, 700, "h100-80gb"),
    "h200-141gb": Device(4.8e12, 450e9, 3200, 700, "h100-80gb"),
}


def peak_of(name: str) -> float:
    """Dense bf16 FLOP/s of a device of the table."""
    peak = bf16_peak(name)
    assert peak
    return peak
