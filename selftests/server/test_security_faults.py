"""Each fault that gives a stranger what is not his turns its own check red; a server without one passes them all."""

from __future__ import annotations

import pytest

from hallmark.specs.cell import Cell
from selftests.server.running_checks import not_passed, red, run_checks

FILE = "test_security.py"
KEY = "the-key-of-these-tests"
FAULTS = {
    "fetches-media": ({"local-media"}, "not refused with a 4xx"),
    "fetches-media=quiet": ({"local-media"}, "connections that the server made to our listener on the loopback is"),
    "development-routes": ({"development-routes"}, "routes of development are served: /sleep, /collective_rpc"),
    "forges-roles": ({"unforged-roles"}, "written by a user, these became control tokens: <|assistant|>, <|end|>"),
    "doubles-bos": ({"one-beginning"}, "is its beginning there twice?"),
    "echoes-key": ({"key-stays"}, "with the key in it"),
}


def test_a_right_server_passes_them_all(cell: Cell) -> None:
    assert not_passed(run_checks(FILE, cell, key=KEY)) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_checks_red(cell: Cell, fault: str) -> None:
    checks, reason = FAULTS[fault]
    ran = run_checks(FILE, cell, fault, key=KEY)
    found = red(ran)
    assert set(found) == {f"server.security.{name}" for name in checks}
    assert reason in " ".join(found.values())
    assert KEY not in str(ran)
