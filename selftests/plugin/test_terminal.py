"""What a person sees: one cause said once, few lines at the end, and a live line that gives the terminal back."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import EVERY, POINT

pytestmark = pytest.mark.e2e


def summary(ended: Ended) -> list[str]:
    """The lines from hallmark's heading on."""
    lines = ended.out.splitlines()
    start = next(place for place, line in enumerate(lines) if "= hallmark: " in line)
    return lines[start:]


def test_an_accepted_run_ends_with_what_it_rests_on(clean: Ended) -> None:
    lines = summary(clean)
    assert len(lines) < 10
    assert "= hallmark: ACCEPTED at tier complete =" in lines[0]
    assert any(re.search(r"evals\.addition: exact_match,none 1 \[.*\] \(wanted ≥ 0\.8\)", line) for line in lines)
    (latency,) = [line for line in lines if f"perf.{POINT}: ttft_mean_ms" in line]
    assert latency.endswith(" % under the target of 5,000, tier complete allows 10,000 (2 x target)")
    (throughput,) = [line for line in lines if f"perf.{POINT}: tokens_per_s " in line]
    assert re.search(r" of 0\.5 tokens/s: [\d,.]+ %, tier complete needs 0\.25 \(0\.5 x target\)$", throughput)
    assert lines[1].endswith("; 2 of 2 performance targets were reached in full.")
    assert lines[-2] == f"report: {clean.folder}/report.html"
    assert lines[-1].startswith("verdict: ACCEPTED at tier complete - All ")
    assert sum("report.html" in line for line in lines) == 1


@pytest.mark.long
def test_one_cause_of_many_checks_is_said_once(place: Place) -> None:
    place.whole_spec(features=EVERY, faults="exit-at-start=3")
    ended = place.release().end().must_end(3, "ERROR")
    assert ended.out.count("ERROR at setup of") == 1
    assert ended.out.count("before it was ready") == 2, "once where it happened, once as the cause at the end"
    assert re.search(
        r"server\.\S+, server\.\S+, server\.\S+ and \d+ more: ERROR, not measured - same cause as server\.\S+", ended.out
    )
    assert "1 error" in ended.out
    assert "not measured in" in ended.out
    assert len(summary(ended)) < 10


def test_the_causes_at_the_end_are_fifteen_at_most(place: Place) -> None:
    """Twenty requirements, each with a cause of its own."""
    wanted = {f"no-such-package-{number}": f"=={number}" for number in range(20)}
    place.spec(impl={"python_deps": wanted, "features": []})
    ended = place.release().end().must_end(1, "REJECTED")
    told = [line for line in summary(ended) if line.startswith("  - ")]
    assert len(told) == 15
    assert "  ... and 6 more, see the report" in summary(ended)
    assert len(ended.report["decision"]["causes"]) == 21


def test_a_narrowed_run_counts_what_it_left_out(place: Place) -> None:
    place.spec()
    ended = place.release("--", "-k", "test_health").end().must_end(4, "PARTIAL")
    (counted,) = [line for line in summary(ended) if "were not asked for" in line]
    assert counted == f"  - {len(ended.report['missing'])} checks were not asked for"


def screen_of(said: str) -> list[str]:
    """The rows that are left on a terminal: enough of one for carriage returns, cursor moves and erased lines."""
    rows, row, column = [""], 0, 0
    for escape, letter, text in re.findall(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b])", said):
        steps = int(escape) if escape.isdigit() else 1
        if letter == "A":
            row -= steps
        elif letter == "G":
            column = steps - 1
        elif letter == "K":
            rows[row] = ""
        elif text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif text:
            rows[row] = rows[row].ljust(column)[:column] + text + rows[row][column + 1 :]
            column += 1
    return rows


def on_a_terminal(place: Place, argv: list[str]) -> str:
    """What a command writes to a terminal, control sequences and all."""
    leader, follower = pty.openpty()
    environ = place.environ | {"TERM": "xterm", "COLUMNS": "120"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(argv, env=environ, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        os.close(follower)
        said = b""
        try:
            while part := os.read(leader, 65536):
                said += part
        except OSError:
            pass  # the other side is closed: how a terminal ends on Linux
        os.close(leader)
        assert process.wait(60) == 0
    return said.decode("utf-8", errors="replace")


@pytest.mark.long
@pytest.mark.real_evals
def test_the_live_line_gives_the_terminal_back(place: Place) -> None:
    place.whole_spec(engine_args={"ttft_ms": 10})
    said = on_a_terminal(place, [sys.executable, "-m", *place.release_words()])
    assert "hallmark: lm-eval: stand_in_addition" in said
    assert re.search(rf"hallmark: perf {POINT}: \d of 8 requests", said)
    rows = screen_of(said)
    said_to_stay = "hallmark: the environment is on record in "
    left = [row for row in rows if row.lstrip().startswith("hallmark: ") and said_to_stay not in row]
    assert not left, "the live line is gone at the end"
    assert [row for row in rows if re.fullmatch(r"tests/evals/test_accuracy\.py \. +\[ \d+%\]", row)]
