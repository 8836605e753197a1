"""Every judge of a window but the gates themselves, in their order. Pure.

A gate tells what the numbers say of the targets. What is added here is whether the numbers tell of the server: what the machine
did meanwhile, whether the requests were sent as planned, and whether the client can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from hallmark.core.load import Load
from hallmark.core.records import Evidence
from hallmark.perf.core_speed import Spins, judge_core_speed
from hallmark.perf.disturbance import weigh
from hallmark.perf.objectives import judge_objectives
from hallmark.perf.sample import PointResult
from hallmark.perf.schedule import judge_schedule
from hallmark.perf.self_check import ClientCheck, judge_client
from hallmark.perf.smoke import judged_on_few, weighed_on_few
from hallmark.specs.model import PerfPoint


def judge_window(
    gated: Sequence[Evidence], result: PointResult, point: PerfPoint, *, load: Load, client: ClientCheck, cores: Spins
) -> list[Evidence]:
    """What the gates found, as far as the window bears it, and the evidence of the judges besides.

    `load` and `cores`: of the window; `client`: from before it.
    """
    weighed = judge_core_speed(weigh(gated, result, point, load), cores, load)
    evidence = [*weighed, *judge_objectives(result, point, load=load)]
    return judge_client(judge_schedule(evidence, result, point, load=load), client, result, point)


def judge_window_on_few(gated: Sequence[Evidence], result: PointResult, point: PerfPoint, *, load: Load) -> list[Evidence]:
    """Of a smoke run, whose few requests decide no more than the gates."""
    found = judged_on_few(gated)
    return weighed_on_few(found, weigh(found, result, point, load))
