"""Runs that never happened, for the tests of the report: an accepted one, and each way of not being accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hallmark.core.parts import Kind
from hallmark.core.records import Evidence, Interval, Manifest, ManifestEntry, Record, Target
from hallmark.core.verdict import Verdict
from hallmark.core.waivers import Waiver, WaiverLimits
from hallmark.report.render import renderers

CELL = "id_vllm_Llama-3.3-70B_t3k"
STARTED = "2026-03-02T08:00:00Z"

FORMATS = tuple(file for file in renderers() if file != "badge.svg")
"""The files that say all of a run; the badge says a line."""

SCRIPT = "<script>alert('from the model')</script>"

ENVIRONMENT: dict[str, Any] = {
    "python": "3.11.9",
    "engine": {"name": "vllm", "version": "0.11.2", "commit": "ab12cd34ef56"},
    "platform": {"system": "Linux", "kernel": "6.8.0-45-generic", "cpu": "AMD EPYC 7713 64-Core Processor", "memory_gib": 503.6},
    "collected_by": "/opt/venv/bin/python",
    "devices": [{"name": "n300 L", "firmware": "19.0.0", "driver": "2.4.1"}, {"name": "n300 R", "firmware": "19.0.0"}],
    "packages": {f"package-{place:03d}": f"1.{place}.0" for place in range(180)},
}

LAUNCH_PLAN: dict[str, Any] = {
    "cell": CELL,
    "command": "VLLM_USE_V1=1 MESH_DEVICE=T3K /opt/venv/bin/python -m vllm.entrypoints.openai.api_server "
    "--model meta-llama/Llama-3.3-70B-Instruct --max-model-len 65536 --max-num-seqs 32 --block-size 64",
    "values": [
        {"name": "MESH_DEVICE", "value": "T3K", "origin": "spec", "overrode": ""},
        {"name": "max-num-seqs", "value": "32", "origin": "command line", "overrode": "64"},
    ],
    "warnings": ["--max-num-seqs 32 is below the spec's 64"],
}


def record(check: str, verdict: Verdict = Verdict.PASS, *evidence: Evidence, kind: Kind = "server", **fields: Any) -> Record:
    given = evidence or ((Evidence(name="observed", value=True),) if verdict.accepted else ())
    fields = {"cell": CELL, "reason": "", "duration_s": 1.5, "started_at": "2026-03-02T08:10:00Z"} | fields
    return Record(check=check, kind=kind, verdict=verdict, evidence=given, **fields)


WAIVER = Waiver(
    owner="J. Doe",
    reason="memory of the mesh",
    issue="https://issues.example.com/812",
    made_on="2026-03-02",
    ends_on="2026-05-31",
)
LIMITS = WaiverLimits(longest_days=90, most_percent=5.0, never=("spec.*", "server.auth"), source="hallmark's own policy")


def manifest(*checks: str, kind: Kind = "server", waived: tuple[str, ...] = (), **fields: Any) -> Manifest:
    entries = tuple(
        ManifestEntry(check=check, kind=kind, title=f"About {check}", waiver=WAIVER if check in waived else None)
        for check in checks
    )
    fields = {
        "waiver_limits": LIMITS,
        "entries": entries,
        "settings": {"limit": None, "server": "local"},
        "workflow": "release",
    } | fields
    return Manifest(cell=CELL, model="Llama-3.3-70B", device="t3k", impl="vllm", started_at=STARTED, **fields)


def score(name: str, value: float, *, floor: float, reference: float, n: int, half: float) -> Record:
    verdict = Verdict.PASS if value - half >= floor else Verdict.FAIL
    evidence = Evidence(
        name="exact_match",
        value=value,
        n=n,
        verdict=verdict,
        interval=Interval(low=max(0.0, value - half), high=min(1.0, value + half)),
        target=Target(relation=">=", limit=floor, reference=reference, source="published score of the model card"),
    )
    side = "reaches" if verdict.accepted else "is below"
    reason = f"the interval's lower end {value - half:.3f} {side} the floor {floor:g}"
    return record(f"evals.{name}", verdict, evidence, kind="evals", reason=reason, duration_s=612.0)


def speed(point: str, *, share: float = 1.0, n: int = 128) -> Record:
    """A perf point; `share` scales how good it is: 1 is comfortable, 0.5 misses."""
    bounds = {"ttft_mean_ms": ("<=", 212.4, 400.0), "tpot_p90_ms": ("<=", 38.2, 55.0), "tokens_per_s": (">=", 812.5, 500.0)}
    held = []
    for metric, (relation, value, limit) in bounds.items():
        measured = value / share if relation == "<=" else value * share
        good = measured <= limit if relation == "<=" else measured >= limit
        target = Target(
            relation=relation,  # type: ignore[arg-type]
            limit=limit,
            reference=limit * (0.5 if relation == "<=" else 2.0),
            tier="complete",
            source="theoretical, 12 devices",
        )
        unit = "ms" if metric.endswith("_ms") else "tokens/s"
        held.append(
            Evidence(
                name=metric,
                value=measured,
                unit=unit,
                n=n,
                verdict=Verdict.PASS if good else Verdict.FAIL,
                interval=Interval(low=measured * 0.96, high=measured * 1.04),
                target=target,
            )
        )
    observed = [
        Evidence(name=name, value=value, unit="ms", n=n) for name, value in (("e2e_p90_ms", 5210.0), ("ttft_p99_ms", 390.1))
    ]
    worst = Verdict.PASS if all(item.verdict.accepted for item in held) else Verdict.FAIL
    reason = "all limits of tier complete are met" if worst is Verdict.PASS else "misses its limits"
    return record(f"perf.{point}", worst, *held, *observed, kind="perf", reason=reason, duration_s=95.0)


RELEASE_RECORDS: tuple[Record, ...] = (
    record(
        "spec.python",
        Verdict.PASS,
        Evidence(name="vllm", value="0.11.2", target=Target(relation=">=", limit="0.11.0", source="llama.yaml:14")),
        kind="spec",
        reason="installed 0.11.2",
        duration_s=0.02,
    ),
    record("spec.device", Verdict.PASS, Evidence(name="boards", value=4), kind="spec", reason="4 x n300", duration_s=0.4),
    record(
        "server.version",
        Verdict.PASS,
        Evidence(name="/version", value="0.11.2", target=Target(relation="==", limit="0.11.2", source="llama.yaml:15")),
        reason="answers the pinned version",
    ),
    record(
        "server.context",
        Verdict.PASS,
        Evidence(name="max_model_len", value=65536, target=Target(relation="==", limit=65536)),
        reason="states the context of the spec",
    ),
    record(
        "server.echo",
        Verdict.PASS,
        Evidence(
            name="answer",
            value=f"The capital of France is Paris. {SCRIPT} " + "And so on, at length. " * 20,
            n=8,
            detail={"prompt": "What is the capital of France?", "finish_reason": "stop"},
        ),
        reason="all answers are coherent",
    ),
    score("gsm8k", 0.942, floor=0.90, reference=0.95, n=1319, half=0.013),
    score("ifeval", 0.887, floor=0.86, reference=0.91, n=541, half=0.022),
    score("mmlu_pro", 0.671, floor=0.65, reference=0.689, n=12032, half=0.008),
    speed("isl128-osl128-c1"),
    speed("isl128-osl128-c32"),
    speed("isl2048-osl128-c16"),
)


def release_manifest(**fields: Any) -> Manifest:
    entries = tuple(
        ManifestEntry(
            check=r.check,
            kind=r.kind,
            title=_TITLES.get(r.check, ""),
            waiver=WAIVER if r.check == "server.context" else None,
        )
        for r in RELEASE_RECORDS
    )
    return manifest(**({"entries": entries} | fields))


_TITLES = {
    "spec.python": "The server's Python packages satisfy the spec",
    "spec.device": "The device is there",
    "server.version": "/version answers what the spec pins",
    "server.context": "/v1/models states the context length",
    "server.echo": "Answers are coherent",
    "evals.gsm8k": "Grade-school mathematics",
    "evals.ifeval": "Instruction following",
    "evals.mmlu_pro": "Knowledge and reasoning",
}

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/opt/venv/lib/python3.11/site-packages/vllm/engine.py", line 1201, in step\n'
    "    raise RuntimeError(message)\n"
    "\x1b[31mRuntimeError\x1b[0m: device 3 did not answer within 5 s \x00 " + SCRIPT
)


def accepted_run() -> tuple[Manifest, tuple[Record, ...]]:
    return release_manifest(), RELEASE_RECORDS


def rejected_run() -> tuple[Manifest, tuple[Record, ...]]:
    changed = {
        "evals.ifeval": score("ifeval", 0.812, floor=0.86, reference=0.91, n=541, half=0.026),
        "perf.isl128-osl128-c32": speed("isl128-osl128-c32", share=0.55),
        "server.context": record(
            "server.context",
            Verdict.FAIL,
            Evidence(name="max_model_len", value=32768, target=Target(relation="==", limit=65536), verdict=Verdict.FAIL),
            reason="32768 instead of 65536",
        ),
        "server.echo": record("server.echo", Verdict.ERROR, reason="the prompt file cannot be read", log=TRACE),
    }
    extra = record("server.custom_probe", Verdict.FAIL, reason="a plugin's own check", log=TRACE, kind="extra")
    return release_manifest(), (*(changed.get(r.check, r) for r in RELEASE_RECORDS), extra)


def incomplete_run() -> tuple[Manifest, tuple[Record, ...]]:
    lost = [replace(r, verdict=Verdict.INCONCLUSIVE, measured=False, evidence=(), reason="skipped") for r in RELEASE_RECORDS[5:6]]
    return release_manifest(), (*RELEASE_RECORDS[:5], *lost, *RELEASE_RECORDS[8:9])


def void_run() -> tuple[Manifest, tuple[Record, ...]]:
    reason = "the device was lost: 3 of 4 boards answer"
    spoilt = record("spec.device", Verdict.VOID, kind="spec", measured=False, reason=reason, log=TRACE)
    return release_manifest(), (spoilt,)
