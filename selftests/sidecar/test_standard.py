"""The five standard metrics on every engine's exposition, typed or not, in both formats; no original sample is lost."""

from __future__ import annotations

import re

import pytest
from prometheus_client.utils import floatToGoString

from hallmark_services.sidecar.metrics.convert import converted
from hallmark_services.sidecar.metrics.negotiate import encoded
from hallmark_services.sidecar.metrics.rules import Engine
from hallmark_services.sidecar.metrics.scan import Dialect, scan
from hallmark_services.sidecar.metrics.standardize import standardized
from selftests.sidecar.reading import PREFIX, STANDARD_SERIES, exposition, families, samples, series, values, without_types

VLLM, SGLANG = Engine.VLLM, Engine.SGLANG
TPOT = "time_per_output_token_seconds"
ENGINES = [
    ("vllm_0_6.txt", VLLM, "vllm:time_per_output_token_seconds"),
    ("vllm_0_6_openmetrics.txt", VLLM, "vllm:time_per_output_token_seconds"),
    ("vllm_0_10.txt", VLLM, "vllm:time_per_output_token_seconds"),
    ("vllm_0_32.txt", VLLM, "vllm:inter_token_latency_seconds"),
    ("openmetrics.txt", VLLM, "vllm:inter_token_latency_seconds"),
    ("sglang_older.txt", SGLANG, "sglang:time_per_output_token_seconds"),
    ("sglang_both.txt", SGLANG, "sglang:inter_token_latency_seconds"),
    ("sglang.txt", SGLANG, "sglang:inter_token_latency_seconds"),
]
OTHER_SOURCES = {"num_requests_waiting": "num_queue_reqs"}
OPENMETRICS = frozenset({"openmetrics.txt", "vllm_0_6_openmetrics.txt"})
SHORT, LONG, LONG_ONES, STREAMED = 3 * 3, 24, 4, 2
"""What record.py's requests give: three answers of two digits and an end, and four of 24 tokens, of which two are streamed."""
ALL = SHORT + LONG_ONES * LONG
WARM_UP = 8
"""Tokens of the one request that SGLang before 0.5 sends itself at its start."""
RECORDED = [
    # engine, generated tokens, requests, gaps between two outputs of a request that it tells of
    ("vllm_0_6.txt", ALL, 7, ALL - 7),
    ("vllm_0_6_openmetrics.txt", ALL, 7, ALL - 7),
    ("vllm_0_10.txt", ALL, 7, ALL - 7),
    ("vllm_0_32.txt", 6 * 3, 6, 6 * 3 - 6),
    ("sglang_both.txt", ALL + WARM_UP, 8, STREAMED * (LONG - 1)),  # SGLang sees no gaps in what it does not stream
    ("sglang.txt", ALL, 7, STREAMED * (LONG - 1)),
]


def standard(body: bytes, engine: Engine = VLLM, prefix: str = PREFIX) -> str:
    return encoded(standardized(scan(body), engine, prefix=prefix)).decode()


def sources(text: str) -> dict[str, str]:
    return {
        dict(labels)["metric"].removeprefix(PREFIX): dict(labels)["source"]
        for labels in series(text, PREFIX + "metric_source_info")
    }


def missing(text: str) -> set[str]:
    found = series(text, PREFIX + "metric_source_missing").items()
    return {dict(labels)["metric"].removeprefix(PREFIX) for labels, value in found if float(value) == 1}


def copied_name(source_series: str, source: str, metric: str) -> str:
    return PREFIX + metric.removesuffix("_total") + source_series.removeprefix(source)


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
@pytest.mark.parametrize(("name", "engine", "tpot"), ENGINES, ids=[row[0] for row in ENGINES])
def test_five_standard_metrics_and_every_original(name: str, engine: Engine, tpot: str, typed: bool) -> None:
    body = exposition(name)
    if not typed:
        body = re.sub(rb" # \{.*", b"", without_types(body))  # without types it is Prometheus text, which has no exemplars
    text = standard(body, engine)
    assert not samples(body.decode()) - samples(text), "an original sample is lost"
    assert body.decode().removesuffix("# EOF\n") in text
    assert set(sources(text)) == set(STANDARD_SERIES)
    assert sources(text)[TPOT] == tpot
    assert missing(text) == set()


@pytest.mark.parametrize(("name", "engine", "tpot"), ENGINES, ids=[row[0] for row in ENGINES])
def test_the_other_four_are_taken_from_where_the_engine_has_them(name: str, engine: Engine, tpot: str) -> None:
    taken = sources(standard(exposition(name), engine))
    for metric in set(STANDARD_SERIES) - {TPOT}:
        own = metric if engine is VLLM else OTHER_SOURCES.get(metric, metric)
        assert taken[metric] == f"{engine}:{own.removesuffix('_total')}"


def total(text: str, name: str) -> float:
    """Over all label sets, as prometheus_client reads them."""
    found = [float(value) for value in series(text, PREFIX + name).values()]
    assert found, name
    return sum(found)


@pytest.mark.parametrize(("name", "tokens", "requests", "gaps"), RECORDED, ids=[row[0] for row in RECORDED])
def test_what_was_recorded_counts_what_its_client_counted(name: str, tokens: int, requests: int, gaps: int) -> None:
    text = standard(exposition(name), SGLANG if "sglang" in name else VLLM)
    assert total(text, "generation_tokens_total") == tokens
    assert total(text, "num_requests_waiting") == 0
    for metric in ("time_to_first_token_seconds", "e2e_request_latency_seconds"):
        assert total(text, metric + "_count") == requests, metric
    assert total(text, TPOT + "_count") == gaps
    assert 0 < total(text, TPOT + "_sum") < total(text, "e2e_request_latency_seconds_sum")
    assert 0 < total(text, "time_to_first_token_seconds_sum") < total(text, "e2e_request_latency_seconds_sum")


@pytest.mark.parametrize(("name", "engine", "tpot"), ENGINES, ids=[row[0] for row in ENGINES])
def test_a_standard_metric_is_its_source_sample_by_sample(name: str, engine: Engine, tpot: str) -> None:
    text = standard(exposition(name), engine)
    everything = samples(text)
    for metric, source in sources(text).items():
        originals = [
            (copied_name(sample, source, metric), *rest)
            for sample, *rest in everything
            if sample in {source + suffix for suffix in ("", "_total", "_bucket", "_sum", "_count", "_created")}
        ]
        assert originals, metric
        assert all(tuple(sample) in everything for sample in originals), metric
    assert tpot in sources(text).values()


@pytest.mark.parametrize(("name", "engine", "tpot"), ENGINES, ids=[row[0] for row in ENGINES])
def test_type_and_help_carry_over(name: str, engine: Engine, tpot: str) -> None:
    text = standard(exposition(name), engine)
    known = {family.name: family for family in families(text)}
    for metric, source in sources(text).items():
        ours, theirs = known[PREFIX + metric.removesuffix("_total")], known[source]
        assert (ours.type, ours.documentation) == (theirs.type, theirs.documentation)


def test_exemplars_and_units_carry_over() -> None:
    text = standard(exposition("openmetrics.txt"))
    assert text.count("# {trace_id=") == 2 * exposition("openmetrics.txt").decode().count("# {trace_id=")
    assert f"# UNIT {PREFIX}time_to_first_token_seconds seconds\n" in text
    assert text.endswith("# EOF\n")


def test_no_source_is_said_and_nothing_is_invented() -> None:
    body = b"\n".join(line for line in exposition("vllm_0_32.txt").split(b"\n") if b"token_latency" not in line)
    body = b"\n".join(line for line in body.split(b"\n") if b"time_per_output_token" not in line)
    text = standard(body)
    assert missing(text) == {TPOT}
    assert TPOT not in sources(text)
    assert not series(text, PREFIX + TPOT + "_count")


def histogram(text: str, family: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], str]:
    """Its samples by what follows the family's name, and labels."""
    return {
        (name.removeprefix(family), labels): value
        for name, labels, value in values(text)
        if name in {family + suffix for suffix in ("_bucket", "_sum", "_count")}
    }


def test_vllm_between_two_names_has_the_same_under_both() -> None:
    text = exposition("vllm_0_10.txt").decode()
    older, newer = (histogram(text, f"vllm:{name}") for name in (TPOT, "inter_token_latency_seconds"))
    assert older == newer
    assert len({dict(labels)["engine"] for _, labels in older}) == 2


def test_sglang_between_two_names_has_another_thing_under_the_older() -> None:
    """Where both are there, the older is one figure per request, and the wait for the first token is in it."""
    body = exposition("sglang_both.txt")
    labels = (("model_name", "hallmark-tiny"),)
    assert histogram(body.decode(), f"sglang:{TPOT}")["_count", labels] == "8.0"
    assert histogram(standard(body, SGLANG), PREFIX + TPOT) == histogram(body.decode(), "sglang:inter_token_latency_seconds")


def test_sglang_that_streamed_nothing_gives_its_requests_means() -> None:
    body = b"\n".join(line for line in exposition("sglang.txt").split(b"\n") if b"inter_token_latency" not in line)
    text = standard(body, SGLANG)
    assert sources(text)[TPOT] == "sglang:request_time_per_output_token_seconds"
    assert total(text, TPOT + "_count") == 7


def test_an_engine_that_has_not_served_yet_has_no_source_and_gets_none() -> None:
    text = standard(exposition("vllm_0_6_idle.txt"))
    assert missing(text) == set(STANDARD_SERIES)
    assert {sample[0] for sample in samples(text)} == {"vllm:cache_config_info", PREFIX + "metric_source_missing"}


def test_a_mean_per_request_stands_in_only_where_there_is_nothing_else() -> None:
    body = b"\n".join(line for line in exposition("vllm_0_32.txt").split(b"\n") if b"inter_token_latency" not in line)
    assert sources(standard(body))[TPOT] == "vllm:request_time_per_output_token_seconds"


def test_a_declared_family_without_a_sample_is_no_source() -> None:
    body = b"# TYPE vllm:time_per_output_token_seconds histogram\n" + exposition("vllm_0_32.txt")
    assert sources(standard(body))[TPOT] == "vllm:inter_token_latency_seconds"


def test_the_type_decides_not_the_name() -> None:
    """vLLM has a histogram whose name ends in _total; one so named must not be taken for the counter."""
    body = b'# TYPE vllm:generation_tokens_total histogram\nvllm:generation_tokens_total_bucket{le="+Inf"} 4\n'
    body += b"vllm:generation_tokens_total_sum 9\nvllm:generation_tokens_total_count 4\n"
    assert "generation_tokens_total" in missing(standard(body))
    gauge = b"# TYPE vllm:time_to_first_token_seconds gauge\nvllm:time_to_first_token_seconds 1\n"
    assert "time_to_first_token_seconds" in missing(standard(gauge))


def test_a_longer_name_is_another_metric() -> None:
    text = standard(b'vllm:num_requests_waiting_by_reason{reason="capacity"} 5\nvllm:num_requests_waiting{e="0"} 3\n')
    assert series(text, PREFIX + "num_requests_waiting") == {(("e", "0"),): "3"}
    assert not series(text, PREFIX + "num_requests_waiting_by_reason")


def test_a_counter_named_without_total_gets_it() -> None:
    text = standard(b"# TYPE vllm:generation_tokens counter\nvllm:generation_tokens 5\n")
    assert f"\n{PREFIX}generation_tokens_total 5\n" in text


def test_samples_that_stand_apart_are_all_found() -> None:
    text = standard(b'vllm:num_requests_waiting{e="0"} 1\nother 1\nvllm:num_requests_waiting{e="1"} 2\n')
    assert len(series(text, PREFIX + "num_requests_waiting")) == 2


def test_the_prefix_is_the_operators() -> None:
    text = standard(exposition("vllm_0_32.txt"), prefix="fleet_")
    assert "fleet_generation_tokens_total{" in text
    assert PREFIX not in text


@pytest.mark.parametrize(("name", "engine", "tpot"), ENGINES, ids=[row[0] for row in ENGINES])
def test_behind_another_sidecar_nothing_is_added_twice(name: str, engine: Engine, tpot: str) -> None:
    once = standard(exposition(name), engine)
    twice = standard(once.encode(), engine)
    assert samples(twice) == samples(once)


@pytest.mark.parametrize("name", [row[0] for row in ENGINES if row[0] not in OPENMETRICS])
def test_text_becomes_openmetrics_and_comes_back_whole(name: str) -> None:
    text = standardized(scan(exposition(name)), Engine.SGLANG if "sglang" in name else VLLM, prefix=PREFIX)
    there = converted(text, Dialect.OPENMETRICS)
    assert values(encoded(there).decode()) == values(text.text)
    assert values(encoded(converted(there, Dialect.TEXT)).decode()) == values(text.text)


@pytest.mark.parametrize("name", sorted(OPENMETRICS))
def test_openmetrics_becomes_text_and_comes_back_whole(name: str) -> None:
    original = standard(exposition(name))
    text = encoded(converted(scan(original.encode()), Dialect.TEXT)).decode()
    assert "# EOF" not in text
    assert "# UNIT" not in text
    assert values(text) == values(original)
    back = encoded(converted(scan(text.encode()), Dialect.OPENMETRICS)).decode()
    assert values(back) == values(original)


def test_what_openmetrics_cannot_say_is_said_less_exactly() -> None:
    text = b"# TYPE a counter\na 1\nuntyped 2 1700000000123\n"
    text += b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
    text += b"# TYPE c_total counter\nc_total 1\n# TYPE c gauge\nc 2\n"
    om = encoded(converted(scan(text), Dialect.OPENMETRICS)).decode()
    kinds = {family.name: family.type for family in families(om)}
    assert kinds == {"a": "unknown", "untyped": "unknown", "h": "histogram", "c_total": "unknown", "c": "gauge"}
    assert 'h_bucket{le="1.0"} 1\n' in om
    assert "untyped 2 1700000000.123\n" in om
    assert converted(scan(om.encode()), Dialect.TEXT).text.count("untyped 2 1700000000123\n") == 1


@pytest.mark.parametrize(
    ("bound", "meant"),
    [("5", "5.0"), ("0.5", "0.5"), ("1e+06", "1e+06"), ("1000000", "1e+06"), ("1.1e+06", "1.1e+06"), ("123456", "123456.0")],
)
def test_a_bound_is_written_as_everyone_writes_it(bound: str, meant: str) -> None:
    """Another spelling of a bound is another series; prometheus_client's own writer is asked which is meant."""
    text = f'# TYPE h histogram\nh_bucket{{le="{bound}"}} 1\nh_bucket{{le="+Inf"}} 1\nh_sum 3\nh_count 1\n'
    om = encoded(converted(scan(text.encode()), Dialect.OPENMETRICS)).decode()
    assert f'h_bucket{{le="{meant}"}} 1\n' in om
    assert meant == floatToGoString(bound)
