"""Known troubles: how each shows in the engine's log or in the container, its name, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trouble:
    """One row of the troubleshooting table in engine/README.md."""

    name: str
    advice: str
    sign: str = ""
    """A regular expression on a line of the engine's log; empty where it is found out otherwise."""

    def __str__(self) -> str:
        return f"TROUBLE {self.name}: {self.advice}"


OUT_OF_MEMORY = Trouble(
    "out-of-memory",
    "reduce MAX_MODEL_LEN (4096, 2048), lower GPU_MEMORY_UTILIZATION (0.80), take a smaller MODEL_ID, or set DTYPE=float16; "
    "a container with a memory limit may need a higher one",
    r"CUDA out of memory|OutOfMemoryError|HIP out of memory|DefaultCPUAllocator: can't allocate|Cannot allocate memory"
    r"|^\s*MemoryError|is less than desired [CG]PU memory utilization|No available memory for the cache blocks"
    r"|larger than the (available|maximum).*KV cache|KV cache is needed|not enough memory|[Ii]nsufficient memory",
)
NO_GPU = Trouble(
    "gpu-not-visible",
    "no GPU can be seen in this container: install the NVIDIA Container Toolkit, see that nvidia-smi works on the host, and "
    "start with --gpus all (compose: the device reservation); a CPU needs the image that was built with FLAVOR=cpu",
    r"Failed to infer device type|NVML Shared Library Not Found|Found no NVIDIA driver|No CUDA GPUs are available",
)
CACHE_NOT_WRITABLE = Trouble(
    "cache-not-writable", "/cache cannot be written by appuser (uid 1000): use a named volume, or chown 1000 the folder you mount"
)
SSHD = Trouble(
    "sshd-cannot-start",
    "sshd cannot listen on SSH_PORT: take one above 1023 (SSH_PORT=2222), or start the container as root (--user 0); "
    "the engine runs as appuser either way",
)
LOG_TROUBLES = (
    OUT_OF_MEMORY,
    Trouble(
        "gated-model",
        "the hub refuses the model: export HF_TOKEN with access to its repository, and check the spelling of MODEL_ID",
        r"GatedRepoError|gated repo|Access to model .* is restricted|RepositoryNotFoundError|401 Client Error|403 Client Error"
        r"|is not a valid model identifier",
    ),
    NO_GPU,
    Trouble(
        "hub-unreachable",
        "the weights are not in /cache and the hub cannot be reached: give the container a network, or mount a folder with the "
        "model and name it in MODEL_ID",
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https://huggingface|Name or service not known"
        r"|Temporary failure in name resolution|Cannot send a request, as the client is offline"
        r"|outgoing traffic has been disabled",
    ),
    Trouble(
        "max-model-len",
        "the model has a shorter context than MAX_MODEL_LEN: set MAX_MODEL_LEN to at most what the engine says above",
        r"max_model_len .* is greater than the derived max_model_len",
    ),
    Trouble(
        "dtype-unsupported",
        "this hardware does not have that DTYPE: set DTYPE=float16 (or float32 on a CPU)",
        r"Bfloat16 is only supported on GPUs|[Dd]type .* is not supported|float16 is not supported",
    ),
    Trouble(
        "tensor-parallel",
        "TENSOR_PARALLEL does not fit the model or the number of GPUs: set it to a divisor of the attention heads, "
        "at most the GPUs",
        r"must be divisible by tensor parallel size|World size .* is larger than the number of available GPUs",
    ),
    Trouble(
        "tokenizer-mismatch",
        "vLLM and transformers in this image do not fit: rebuild from this repository (the build checks that they do), push it, "
        "and docker pull the new tag where it runs",
        r"has no attribute '?all_special_tokens_extended",
    ),
    Trouble(
        "tqdm-mismatch",
        "vLLM and huggingface_hub in this image do not fit: rebuild from this repository (the build checks that they do), and "
        "be sure that the new tag is pulled before the restart",
        r"got multiple values for keyword argument 'disable'",
    ),
    Trouble(
        "disk-full",
        "the disk of /cache is full: free some space, or mount a larger volume",
        r"No space left on device(?!.*/dev/shm)|Disk quota exceeded",
    ),
    Trouble(
        "shm-too-small",
        "vLLM's processes share more memory than Docker's 64 MiB: start with --shm-size 1g "
        "or --ipc host (run_image.sh and compose do)",
        r"Insufficient space in /dev/shm|No space left on device.*/dev/shm|unable to (open|mmap|allocate) shared memory",
    ),
    Trouble(
        "not-readable",
        "appuser (uid 1000) may not read a file that is mounted: chmod -R a+rX the folder on the host",
        r"Permission denied: '/(?!cache)",
    ),
    Trouble(
        "port-in-use",
        "another process of this network has the port: set PORT (or ENGINE_PORT) to a free one",
        r"[Aa]ddress already in use",
    ),
    Trouble(
        "wrong-architecture",
        "the image was built for another CPU: build it with TARGET_PLATFORM=linux/amd64 (or linux/arm64) as the machine needs",
        r"[Ee]xec format error|Illegal instruction",
    ),
)
_SIGNS = [(trouble, re.compile(trouble.sign)) for trouble in LOG_TROUBLES]
_OOM_COUNTS = (("memory.events", r"^oom_kill (\d+)"), ("memory/memory.oom_control", r"^oom_kill (\d+)"))


def named(lines: Iterable[str]) -> list[Trouble]:
    """The troubles that a log shows, each once, in the order in which they show."""
    found: dict[str, Trouble] = {}
    for line in lines:
        for trouble, sign in _SIGNS:
            if trouble.name not in found and sign.search(line):
                found[trouble.name] = trouble
    return list(found.values())


def oom_kills(root: Path = Path("/sys/fs/cgroup")) -> int:
    """How often the kernel killed a process of this container for its memory limit; 0 where that cannot be read."""
    for name, pattern in _OOM_COUNTS:
        try:
            match = re.search(pattern, (root / name).read_text(encoding="ascii"), re.MULTILINE)
        except (OSError, ValueError):
            continue
        if match:
            return int(match[1])
    return 0
