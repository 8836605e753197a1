"""One scrape over real HTTP: what comes back when the engine is well, odd, slow, wrong or gone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from selftests.sidecar.engine import StandInEngine
from selftests.sidecar.reading import PREFIX, exposition, families, samples, series
from selftests.sidecar.running import sidecar

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture(scope="module")
def engine() -> Iterator[StandInEngine]:
    engine = StandInEngine()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def client(engine: StandInEngine) -> Iterator[httpx.Client]:
    with sidecar(engine.url) as client:
        yield client


@pytest.fixture(autouse=True)
def healthy(engine: StandInEngine) -> None:
    engine.faults.clear()
    engine.seen.clear()
    engine.metrics = exposition("vllm_0_32.txt")
    engine.content_type = "text/plain; version=1.0.0; charset=utf-8"


def get(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.get("/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()})


def one(text: str, name: str) -> float:
    (value,) = series(text, PREFIX + name).values()
    return float(value)


def test_a_scrape_gives_originals_standards_and_the_sidecars_own(client: httpx.Client) -> None:
    answer = get(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert not samples(exposition("vllm_0_32.txt").decode()) - samples(answer.text)
    assert one(answer.text, "engine_up") == 1
    assert one(answer.text, "malformed_lines_total") == 0
    (labels,) = series(answer.text, PREFIX + "runtime_info")
    assert dict(labels) | {"version": ""} == {"engine": "vllm", "model": "base", "pod": "pod-0.space", "version": ""}


def test_the_scraper_gets_openmetrics_where_it_takes_nothing_else(client: httpx.Client) -> None:
    answer = get(client, accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"] == OPENMETRICS
    assert answer.text.endswith("# EOF\n")
    assert not {s[:3] for s in samples(exposition("vllm_0_32.txt").decode())} - {s[:3] for s in samples(answer.text)}


def test_the_scraper_gets_text_where_it_takes_nothing_else(client: httpx.Client, engine: StandInEngine) -> None:
    engine.metrics, engine.content_type = exposition("openmetrics.txt"), OPENMETRICS
    answer = get(client, accept="text/plain")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# EOF" not in answer.text
    assert families(answer.text)


@pytest.mark.parametrize(
    ("name", "expected"), [("vllm_0_32.txt", "text/plain"), ("openmetrics.txt", "application/openmetrics-text")]
)
def test_who_takes_both_gets_the_engines_own(client: httpx.Client, engine: StandInEngine, name: str, expected: str) -> None:
    engine.metrics, engine.content_type = exposition(name), OPENMETRICS if name == "openmetrics.txt" else "text/plain"
    answer = get(client, accept=PROMETHEUS_2)
    assert answer.headers["content-type"].startswith(expected)
    assert engine.seen[0][2]["accept"].startswith("application/openmetrics-text")
    assert not samples(exposition(name).decode()) - samples(answer.text)


def test_malformed_lines_are_counted_and_the_rest_is_served(client: httpx.Client, engine: StandInEngine) -> None:
    before = one(get(client).text, "malformed_lines_total")
    engine.metrics += b'vllm:half{x="\nvllm:other 1 2 3 4\n'
    answer = get(client)
    assert answer.status_code == 200
    assert one(answer.text, "malformed_lines_total") == before + 2
    assert not samples(exposition("vllm_0_32.txt").decode()) - samples(answer.text)


def test_an_empty_exposition_has_no_source(client: httpx.Client, engine: StandInEngine) -> None:
    engine.metrics = b""
    text = get(client).text
    assert set(series(text, PREFIX + "metric_source_missing").values()) == {"1"}
    assert one(text, "engine_up") == 1


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("status", lambda: (500, "text/plain", b"boom")),
        ("status", lambda: (302, "text/plain", b"")),
        ("status", lambda: (204, "text/plain", b"")),
    ],
    ids=["500", "redirect", "204"],
)
def test_an_engine_that_refuses_is_told_where_prometheus_reads_it(
    client: httpx.Client, engine: StandInEngine, reason: str, fault: object
) -> None:
    before = series(get(client).text, PREFIX + "engine_scrape_failures_total")[(("reason", reason),)]
    engine.faults["/metrics"] = fault  # type: ignore[assignment]
    answer = get(client)
    assert answer.status_code == 200
    assert one(answer.text, "engine_up") == 0
    assert set(series(answer.text, PREFIX + "metric_source_missing").values()) == {"1"}
    after = series(answer.text, PREFIX + "engine_scrape_failures_total")[(("reason", reason),)]
    assert float(after) == float(before) + 1
    assert not engine.asked("/elsewhere")


def test_a_hung_engine_is_told_before_the_scraper_stops_waiting(client: httpx.Client, engine: StandInEngine) -> None:
    engine.faults["/metrics"] = engine.hangs
    answer = client.get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.4", "Accept": OPENMETRICS}, timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == OPENMETRICS
    assert one(answer.text, "engine_scrape_seconds") > 0.3
    assert series(answer.text, PREFIX + "engine_scrape_failures_total")[(("reason", "timeout"),)] == "1"


@pytest.mark.parametrize("patience", ["", "soon", "-1", "nan", "inf", "0", "1e400"])
def test_a_patience_that_means_nothing_is_passed_over(client: httpx.Client, patience: str) -> None:
    assert get(client, X_Prometheus_Scrape_Timeout_Seconds=patience).status_code == 200


def test_an_engine_that_is_gone_is_told_where_prometheus_reads_it() -> None:
    engine = StandInEngine()
    engine.stop()
    with sidecar(engine.url) as client:
        answer = client.get("/metrics")
        health = client.get("/health")
    assert answer.status_code == 200
    assert series(answer.text, PREFIX + "engine_scrape_failures_total")[(("reason", "unreachable"),)] == "1"
    assert health.status_code == 200
    assert (health.json()["status"], health.json()["engine"]["status"]) == ("healthy", "down")


def test_health_tells_its_own_state_from_the_engines(client: httpx.Client, engine: StandInEngine) -> None:
    assert client.get("/health").json() == {"status": "healthy", "service": "runtime", "engine": {"status": "up", "detail": ""}}
    engine.faults["/health"] = engine.hangs
    slow = client.get("/health").json()
    assert slow["status"] == "healthy"
    assert slow["engine"]["status"] == "down"
    assert "did not answer" in slow["engine"]["detail"]


def test_a_large_exposition_is_served_whole(client: httpx.Client, engine: StandInEngine) -> None:
    engine.metrics += b"".join(b'big{n="%d"} %d\n' % (n, n) for n in range(20_000))
    text = get(client).text
    assert text.count('\nbig{n="') == 20_000
    assert f"\n{PREFIX}generation_tokens_total{{" in text
