"""The load generators: how each is asked for one load, and what it reports.

The peers are installed by name into environments of their own; `vllm bench serve` comes with vLLM, which hallmark has installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT, Missing, installed

MODEL = "stand-in"
TOKENIZER = ROOT / "fixtures" / "hallmark_tiny"
ENVIRONMENTS = ROOT / ".hallmark" / "environments"
_VLLM_BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""`vllm bench serve` without vLLM's command line, which cannot tell its version where vLLM is installed by another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a tool is to send: `requests` after `warmup`, so many at a time; in an open loop as `kind` and `rate` say."""

    streams: int
    requests: int
    warmup: int
    isl: int
    osl: int
    kind: str = ""
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a tool says that it measured. Times in milliseconds."""

    ttft_mean: float
    ttft_p99: float
    tpot_mean: float
    tpot_p99: float
    tokens_per_s: float
    counted: int
    """Requests behind these, the last ones that were sent."""
    reading_s: float = 0.0
    """What it took after the last token until it knew them; of the peers it is not known apart."""
    waited_s: float = 0.0
    """How long it stood ready and others had its core; of hallmark alone, as are the rows."""
    rows: tuple[tuple[float, float, float], ...] = ()
    """Of each request when it was due and sent, in seconds of the machine's clock, and its lag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    name: str
    version: str
    command: Callable[[Load, str, Path], list[str]]
    """From the load, the server's base URL and a folder for what it writes."""
    report: Callable[[Path], Report]
    flat_osl: int
    """Of the answers that come as fast as it takes them in: enough for seconds of a peer."""


def hallmark() -> Tool:
    return Tool(
        name="hallmark",
        version=importlib.metadata.version("pytest-hallmark"),
        command=_ours,
        report=_of_ours,
        flat_osl=20_000,
    )


def _ours(load: Load, url: str, folder: Path) -> list[str]:
    numbers = (load.isl, load.osl, load.streams, load.requests, load.warmup, load.kind, load.rate)
    return [sys.executable, "-m", "benchmarks.client.ours", str(folder / "report.json"), url, *map(str, numbers)]


def _of_ours(folder: Path) -> Report:
    said = _json(folder / "report.json")
    return Report(
        ttft_mean=said["ttft_mean_ms"],
        ttft_p99=said["ttft_p99_ms"],
        tpot_mean=said["tpot_mean_ms"],
        tpot_p99=said["tpot_p99_ms"],
        tokens_per_s=said["tokens_per_s"],
        counted=len(said["rows"]),
        reading_s=said["reading_s"],
        waited_s=said["waited_s"],
        rows=tuple((due, sent, lag) for due, sent, lag in said["rows"]),
    )


def vllm_bench() -> Tool:
    found = os.environ.get("HALLMARK_SERVER_PYTHON") or next(map(str, ENVIRONMENTS.glob("server-vllm*/bin/python")), "")
    if not found:
        raise Missing("there is no environment of vLLM: HALLMARK_SERVER_PYTHON names its python")
    asked = "import importlib.metadata as m, json; print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    listed = subprocess.run([found, "-c", asked], capture_output=True, text=True, check=True).stdout
    named = [version for name, version in json.loads(listed) if name.startswith("vllm")]
    if not named:
        raise Missing(f"{found} has no vLLM")

    def command(load: Load, url: str, folder: Path) -> list[str]:
        words = ["--backend=openai", f"--base-url={url}", "--endpoint=/v1/completions", f"--model={MODEL}"]
        words += [f"--tokenizer={TOKENIZER}", "--dataset-name=random", f"--random-input-len={load.isl}"]
        words += [f"--random-output-len={load.osl}", f"--num-prompts={load.requests}", f"--max-concurrency={load.streams}"]
        words += ["--ignore-eos", f"--num-warmups={load.warmup}", "--disable-tqdm", "--percentile-metrics=ttft,tpot"]
        words += ["--metric-percentiles=99", "--save-result", f"--result-dir={folder}", "--result-filename=report.json"]
        return [found, "-c", _VLLM_BENCH, *words]

    return Tool(name="vllm bench serve", version=max(named), command=command, report=_of_vllm, flat_osl=5_000)


def _of_vllm(folder: Path) -> Report:
    said = _json(folder / "report.json")
    return Report(
        ttft_mean=said["mean_ttft_ms"],
        ttft_p99=said["p99_ttft_ms"],
        tpot_mean=said["mean_tpot_ms"],
        tpot_p99=said["p99_tpot_ms"],
        tokens_per_s=said["output_throughput"],
        counted=said["completed"],
    )


def guidellm() -> Tool:
    program = str(installed("guidellm", "0.8.1") / "guidellm")

    def command(load: Load, url: str, folder: Path) -> list[str]:
        words = ["--backend", f"kind=openai_http,target={url},model={MODEL},request_format=/v1/completions"]
        words += ["--profile", f"kind=concurrent,streams={load.streams},warmup={load.warmup}"]
        words += ["--constraint", f"kind=max_requests,count={load.requests + load.warmup}"]
        words += ["--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}"]
        words += ["--data", f"kind=synthetic_text,prompt_tokens={load.isl},output_tokens={load.osl}"]
        return [program, "run", *words, "--output", f"kind=json,path={folder / 'report.json'}", "--disable-console"]

    return Tool(name="guidellm", version="0.8.1", command=command, report=_of_guidellm, flat_osl=1_000)


def _of_guidellm(folder: Path) -> Report:
    """Its inter-token latency is what others call TPOT; its `time_per_output_token` has the first token in it."""
    metrics = _json(folder / "report.json")["benchmarks"][0]["metrics"]
    ttft, tpot, rate = (
        metrics[name]["successful"] for name in ("time_to_first_token_ms", "inter_token_latency_ms", "output_tokens_per_second")
    )
    return Report(
        ttft_mean=ttft["mean"],
        ttft_p99=ttft["percentiles"]["p99"],
        tpot_mean=tpot["mean"],
        tpot_p99=tpot["percentiles"]["p99"],
        tokens_per_s=rate["mean"],
        counted=ttft["count"],
    )


def aiperf() -> Tool:
    program = str(installed("aiperf", "0.13.0") / "aiperf")

    def command(load: Load, url: str, folder: Path) -> list[str]:
        words = [f"--model={MODEL}", f"--url={url}", "--endpoint-type=completions", "--streaming"]
        words += [f"--concurrency={load.streams}", f"--request-count={load.requests}", f"--isl={load.isl}", f"--osl={load.osl}"]
        words += [f"--warmup-request-count={load.warmup}", f"--tokenizer={TOKENIZER}", "--use-server-token-count"]
        words += ["--extra-inputs=ignore_eos:true", "--ui=none", "--no-gpu-telemetry", "--no-server-metrics"]
        return [program, "profile", *words, f"--artifact-dir={folder}"]

    return Tool(name="aiperf", version="0.13.0", command=command, report=_of_aiperf, flat_osl=1_000)


def _of_aiperf(folder: Path) -> Report:
    said = _json(folder / "profile_export_aiperf.json")
    ttft, tpot = said["time_to_first_token"], said["inter_token_latency"]
    return Report(
        ttft_mean=ttft["avg"],
        ttft_p99=ttft["p99"],
        tpot_mean=tpot["avg"],
        tpot_p99=tpot["p99"],
        tokens_per_s=said["output_token_throughput"]["avg"],
        counted=int(said["request_count"]["avg"]),
    )


TOOLS: dict[str, Callable[[], Tool]] = {
    "hallmark": hallmark,
    "vllm bench serve": vllm_bench,
    "guidellm": guidellm,
    "aiperf": aiperf,
}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
