"""Every judge of a window but the gates themselves, in their order. Pure.

A gate tells what the numbers say of the targets. What is added here is whether the numbers tell of the server: what the machine
did meanwhile, whether the server had settled and stayed as it was, whether the requests were sent as planned, and whether the
client can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from hallmark.core.load import Load
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.perf.core_speed import Spins, judge_core_speed
from hallmark.perf.device_series import DeviceReading
from hallmark.perf.disturbance import as_the_loop_had_it, weigh
from hallmark.perf.drift import DRIFT, judge_drift
from hallmark.perf.early_end import as_far_as_settled
from hallmark.perf.objectives import judge_objectives
from hallmark.perf.sample import PointResult
from hallmark.perf.schedule import QUEUE, judge_schedule
from hallmark.perf.self_check import ClientCheck, judge_client
from hallmark.perf.smoke import judged_on_few, weighed_on_few
from hallmark.perf.stalls import observe_stalls
from hallmark.perf.steady import SteadyPart, left_open
from hallmark.specs.model import PerfPoint


def judge_window(
    gated: Sequence[Evidence],
    steady: SteadyPart,
    point: PerfPoint,
    *,
    load: Load,
    client: ClientCheck,
    cores: Spins,
    devices: Sequence[DeviceReading] = (),
) -> list[Evidence]:
    """What the gates found of the steady part, as far as the window bears it, and the evidence of the judges besides.

    `load`, `cores` and `devices`: of the whole window; `client`: from before it. A window that was ended early is judged
    as far as it was sent, and then by no more than what settled it.
    """
    result = steady.result
    load = as_the_loop_had_it(load.part(steady.share), result)
    weighed = judge_core_speed(weigh(gated, result, point, load), cores, load)
    evidence = [*weighed, *judge_objectives(result, point, load=load)]
    evidence = left_open(evidence, steady.evidence) if steady.unsettled else [*evidence, steady.evidence]
    over_time = [judge_drift(result, point, load=load, cores=cores, devices=devices), observe_stalls(result)]
    evidence = judge_schedule([*evidence, *over_time], result, point, load=load)
    if any(item.name == QUEUE and item.verdict is not Verdict.PASS for item in evidence):
        # A queue that grows makes the server slower, too: that is over-saturation, and said once.
        evidence = [item for item in evidence if item.name != DRIFT]
    return as_far_as_settled(judge_client(evidence, client, result, point), result)


def judge_window_on_few(gated: Sequence[Evidence], result: PointResult, point: PerfPoint, *, load: Load) -> list[Evidence]:
    """Of a smoke run, whose few requests decide no more than the gates."""
    found = judged_on_few(gated)
    return weighed_on_few(found, weigh(found, result, point, as_the_loop_had_it(load, result)))
