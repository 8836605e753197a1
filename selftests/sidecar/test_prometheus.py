"""Prometheus itself: its tool judges the rules and their tests, its server scrapes the sidecar."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from hallmark.serving.ports import free_port
from hallmark_services.sidecar.metrics.rules import STANDARDS, Kind
from selftests.core.polling import comes_true
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.reading import exposition
from selftests.sidecar.running import sidecar

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.prometheus,
    pytest.mark.skipif(not shutil.which("promtool"), reason="not tested: no promtool (Debian's package is prometheus)"),
]

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES, TESTS = "hallmark-runtime.rules.yaml", "hallmark-runtime.tests.yaml"
ALERTS = [rule["alert"] for group in yaml.safe_load((DEPLOY / RULES).read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str, folder: Path) -> tuple[int, str]:
    ended = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_rules_are_sound_and_each_alert_fires_on_its_fault_alone() -> None:
    assert promtool("check", "rules", "--lint-fatal", RULES, folder=DEPLOY)[0] == 0
    code, said = promtool("test", "rules", TESTS, folder=DEPLOY)
    assert code == 0, said
    tested = set(re.findall(r'alertname="(\w+)"', (DEPLOY / TESTS).read_text()))
    assert tested == set(ALERTS)


@pytest.mark.parametrize("spoil", ["({}) and on() vector(1) > 2", "({}) or sum by (instance) (up)"], ids=["never", "always"])
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_fires_never_or_always_is_noticed(tmp_path: Path, alert: str, spoil: str) -> None:
    rules = yaml.safe_load((DEPLOY / RULES).read_text())
    spoilt = next(rule for rule in rules["groups"][0]["rules"] if rule["alert"] == alert)
    spoilt["expr"] = spoil.format(spoilt["expr"])
    (tmp_path / RULES).write_text(yaml.safe_dump(rules))
    shutil.copy(DEPLOY / TESTS, tmp_path)
    assert promtool("test", "rules", TESTS, folder=tmp_path)[0] == 1


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes `target`, with our rules; its log is in the folder."""
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(DEPLOY / RULES)],
        "scrape_configs": [{"job_name": "hallmark-runtime", "static_configs": [{"targets": [target.removeprefix("http://")]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "tsdb", "web.listen-address": address}
    argv = ["prometheus", *(f"--{name}={value}" for name, value in options.items()), "--enable-feature=exemplar-storage"]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://{address}/api/v1", timeout=5, trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            process.wait(20)


def told(client: httpx.Client, path: str, **params: str) -> Any:
    """The `data` of an answer; nothing while the server does not answer yet."""
    try:
        answer = client.get(path, params=params)
    except httpx.TransportError:
        return {}
    return answer.json()["data"] if answer.is_success else {}


def health(client: httpx.Client) -> str:
    targets = told(client, "/targets").get("activeTargets") or [{"health": "none"}]
    return str(targets[0]["health"])


def value(client: httpx.Client, query: str) -> list[float]:
    return [float(row["value"][1]) for row in told(client, "/query", query=query).get("result", [])]


def test_prometheus_scrapes_it_and_sees_the_engine_go(tmp_path: Path) -> None:
    engine = StandInEngine(exposition("vllm_0_32.txt"))
    with sidecar(engine.url) as client, prometheus(str(client.base_url), tmp_path) as watching:
        assert comes_true(lambda: health(watching) == "up", within_s=30), (tmp_path / "prometheus.log").read_text()
        for standard in STANDARDS:
            name = "matrixinfer:" + standard.series + ("_count" if standard.kind is Kind.HISTOGRAM else "")
            assert value(watching, name), name
        kept = sum(line[:1] not in ("#", "") for line in exposition("vllm_0_32.txt").decode().splitlines())
        assert value(watching, 'scrape_samples_scraped{job="hallmark-runtime"}')[0] >= kept
        engine.faults["/metrics"] = lambda: (500, "text/plain", b"out of order")
        assert comes_true(lambda: value(watching, "matrixinfer:engine_up") == [0.0], within_s=30)
        assert value(watching, "up") == [1.0]
        assert comes_true(
            lambda: value(watching, 'matrixinfer:engine_scrape_failures_total{reason="status"}') >= [1.0], within_s=30
        )
    engine.stop()
