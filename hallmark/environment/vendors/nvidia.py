"""NVIDIA: GPUs as nvidia-smi or the driver's files name them, the driver, and CUDA."""

from __future__ import annotations

from hallmark.environment.machine import Machine, Vendor, accelerator, csv_table, first, memory_table, search, table

FOLDER = "/proc/driver/nvidia/gpus"


def driver_files(machine: Machine) -> list[dict[str, str]]:
    """What the driver tells of each GPU in the folder of its slot."""
    files = {slot: machine.read(f"{FOLDER}/{slot}/information") for slot in machine.entries(FOLDER)}
    return [accelerator(search(r"^Model:\s*(\S.*)$", text, FOLDER), slot) for slot, text in files.items()]


VENDOR = Vendor(
    "nvidia",
    sources={
        "nvidia-smi": table(
            "nvidia-smi --query-gpu=name,uuid,memory.total --format=csv,noheader",
            csv_table(r"\w[\w .()/+-]*", r"GPU-[\w-]+"),
        ),
        FOLDER: driver_files,
    },
    pci="10de:",
    drivers={
        "nvidia-driver": first(
            ("nvidia-smi --query-gpu=driver_version --format=csv,noheader", r"^\s*(\d+\.\d[\d.]*)\s*$"),
            ("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+\.\d[\d.]*)"),
        ),
    },
    versions={
        "cuda": first(("nvcc --version", r"release (\d+\.\d+)"), ("nvidia-smi", r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)")),
    },
    variables=("CUDA_", "NVIDIA_", "NCCL_"),
    tool_folders=("/usr/local/cuda/bin",),
    # By itself CUDA numbers the fastest first, nvidia-smi by the bus.
    visible={"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "{}"},
    used={
        "nvidia-smi": memory_table(
            "nvidia-smi --query-gpu=index,memory.used --format=csv,noheader,nounits",
            r"^\s*(?P<number>\d+)\s*,\s*(?P<mib>\d+)\s*$",
        ),
    },
)
