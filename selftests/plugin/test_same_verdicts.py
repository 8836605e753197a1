"""The same server, had in another way, is judged the same."""

from __future__ import annotations

import pytest

from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import EVERY, FEW
from selftests.workflows.test_serve import serving

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def verdicts(ended: Ended) -> dict[str, str]:
    """Of everything but performance."""
    return {check: row["verdict"] for check, row in ended.rows.items() if not check.startswith("perf.")}


@pytest.mark.parametrize(("faults", "features"), [("", EVERY), ("no-stop", FEW)])
def test_started_here_and_attached_to(place: Place, faults: str, features: tuple[str, ...]) -> None:
    place.whole_spec(features=features, faults=faults)
    local = place.release().end()
    command, url = serving(place)
    attached = place.release(f"--server-url={url}").end()
    command.process.terminate()
    command.end()
    assert verdicts(attached) == verdicts(local), f"{local.causes}\nattached: {attached.causes}"
    assert attached.code == local.code == (1 if faults else 0)
