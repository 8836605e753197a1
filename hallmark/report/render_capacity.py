"""Capacity -> one self-contained page, in the style of a release report."""

from __future__ import annotations

from collections.abc import Mapping

from hallmark.core.verdict import Verdict
from hallmark.perf.capacity import Capacity
from hallmark.report.capacity_plot import curve_plot
from hallmark.report.render_html import SYMBOLS, template

_TONES: Mapping[Verdict, str] = {Verdict.PASS: "good", Verdict.FAIL: "bad"}


def render_capacity(capacity: Capacity) -> str:
    quantiles = {
        name: limit for name, limit in capacity.limits.items() if any(name in one.latencies_ms for one in capacity.trials)
    }
    return template("capacity.html.j2").render(
        capacity=capacity,
        tone=_TONES.get(capacity.verdict, "open"),
        symbol=SYMBOLS[capacity.verdict],
        curves=[(name, curve_plot(capacity.trials, name, limit)) for name, limit in quantiles.items()],
        quantiles=list(quantiles),
        trials=sorted(capacity.trials, key=lambda one: (one.load, one.confirms)),
    )
