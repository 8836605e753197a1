"""What is deployed beside the code: every expression parses, every name in it is served, the manifest starts what we ship.

promql_parser stands in for promtool: it is Prometheus's own grammar (and its check of types), compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from hallmark_services.sidecar.settings import parse
from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.reading import exposition, samples
from selftests.sidecar.running import sidecar

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SCRAPERS_OWN = {"up": {"instance", "job"}}
TARGET_LABELS = {"instance", "job"}
GRAFANA = {"$__rate_interval": "5m", "$__range": "1h", "$instance": ".*", "$model": ".*"}


@pytest.fixture(scope="module")
def served() -> dict[str, set[str]]:
    """The names that a sidecar in front of vLLM 0.32 serves, with their labels."""
    engine = StandInEngine(exposition("vllm_0_32.txt"))
    with sidecar(engine.url) as client:
        text = client.get("/metrics").text
    engine.stop()
    found: dict[str, set[str]] = dict(SCRAPERS_OWN)
    for name, labels, *_ in samples(text):
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def asked_for(tree: promql_parser.Expr) -> tuple[list[tuple[str, set[str]]], set[str]]:
    """(names with the labels that they are matched by, the labels that are grouped by)."""
    selected: list[tuple[str, set[str]]] = []
    grouped: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            selected.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            grouped.update(node.modifier.labels)
        return True

    promql_parser.walk(tree, visit)
    return selected, grouped


def complaints(expression: str, served: dict[str, set[str]]) -> list[str]:
    """What keeps the expression from ever giving an answer."""
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    try:
        tree = promql_parser.parse(expression)
    except ValueError as exc:
        return [str(exc)]
    selected, grouped = asked_for(tree)
    found = [f"{name}: not served" for name, _ in selected if name not in served]
    known = set(TARGET_LABELS)
    for name, labels in selected:
        known |= served.get(name, set())
        found += [f"{name}: no label {label}" for label in sorted(labels - served.get(name, set()) - TARGET_LABELS)]
    return found + [f"no label {label}" for label in sorted(grouped - known)]


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((DEPLOY / "prometheus" / "hallmark-runtime.rules.yaml").read_text())["groups"]:
        assert set(group) == {"name", "rules"}
        yield from group["rules"]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DEPLOY / "grafana" / "hallmark-runtime.json").read_text())
    return document


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("sum(rate(matrixinfer:generation_tokens_total[5m])", "unclosed"),
        ("matrixinfer:generation_tokens_total[5m] > 1", "instant vector"),
        ("rate(matrixinfer:generation_tokens_total)", "expected type matrix"),
        ("rate(matrixinfer:generated_tokens_total[5m])", "matrixinfer:generated_tokens_total: not served"),
        ('matrixinfer:num_requests_waiting{model="x"}', "matrixinfer:num_requests_waiting: no label model"),
        ("sum by (pod_name) (matrixinfer:num_requests_waiting)", "no label pod_name"),
    ],
)
def test_an_expression_that_gives_no_answer_is_noticed(served: dict[str, set[str]], expression: str, complaint: str) -> None:
    assert complaint in " ".join(complaints(expression, served))


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule["alert"])
def test_every_alert_can_fire_and_says_what_it_is_about(rule: dict[str, Any], served: dict[str, set[str]]) -> None:
    assert complaints(rule["expr"], served) == []
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations", "keep_firing_for"}
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert re.fullmatch(r"\d+m", rule.get("for", "0m"))
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert used <= TARGET_LABELS | set().union(*served.values())


def test_every_alert_has_a_name_of_its_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 8


@pytest.mark.parametrize("panel", dashboard()["panels"], ids=lambda panel: panel["title"])
def test_every_panel_has_something_to_show(panel: dict[str, Any], served: dict[str, set[str]]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        assert complaints(target["expr"], served) == []
        assert target["datasource"]["uid"] == "${datasource}"
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_five_standard_metrics_are_on_the_dashboard() -> None:
    text = json.dumps([target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]])
    for name in ("generation_tokens_total", "num_requests_waiting", "time_to_first_token_seconds_bucket"):
        assert "matrixinfer:" + name in text
    for name in ("time_per_output_token_seconds_bucket", "e2e_request_latency_seconds_bucket"):
        assert "matrixinfer:" + name in text


def test_panels_do_not_overlap(served: dict[str, set[str]]) -> None:
    taken: set[tuple[int, int]] = set()
    document = dashboard()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\S+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert label in served[metric] | TARGET_LABELS


def test_the_manifest_starts_the_sidecar_beside_its_engine() -> None:
    documents = {d["kind"]: d for d in yaml.safe_load_all((DEPLOY / "kubernetes" / "runtime.yaml").read_text())}
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    engine, runtime = pod["containers"]
    environ = {entry["name"]: entry.get("value", "x") for entry in runtime["env"]}
    settings = parse([arg.replace("$(POD_NAME).$(NAMESPACE)", "pod-0.space") for arg in runtime["args"]], environ)
    probe = runtime["readinessProbe"]["httpGet"]
    assert (probe["path"], probe["port"]) == ("/health", settings.port)
    assert runtime["ports"][0]["containerPort"] == settings.port
    assert settings.engine_base_url == f"http://localhost:{engine['ports'][0]['containerPort']}"
    assert documents["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(settings.port)
    shared = {(m["name"], m["mountPath"]) for m in engine["volumeMounts"]} & {
        (m["name"], m["mountPath"]) for m in runtime["volumeMounts"]
    }
    assert shared == {("models", environ["RUNTIME_DOWNLOAD_ROOTS"])}
    assert environ["RUNTIME_STATE_DIR"].startswith(environ["RUNTIME_DOWNLOAD_ROOTS"] + "/"), "the root file system is read-only"
    assert settings.log_format == "json"
    assert {m["name"] for c in (engine, runtime) for m in c["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert runtime["envFrom"][0]["secretRef"]["name"] == documents["Secret"]["metadata"]["name"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == documents["PersistentVolumeClaim"]["metadata"]["name"]
