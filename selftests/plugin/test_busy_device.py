"""A device that is in use is waited for as long as somebody says, and a server that is not there hardly at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hallmark.serving.lease import VARIABLE, hold
from hallmark.serving.ports import free_port
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import DEVICE

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture
def busy(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place whose device this process holds."""
    place.spec()
    monkeypatch.setenv(VARIABLE, place.environ[VARIABLE])
    lease = hold(DEVICE, holder="id_somebody-else_cpu", progress=pytest.fail, wait_s=0)
    yield place
    lease.release()


REFUSED = "cpu: not free after 0 s, held by id_somebody-else_cpu since 20"


def test_a_busy_device_ends_run_py_with_3(busy: Place) -> None:
    ended = busy.release("--device-wait=0", workflow="tests").end()
    assert ended.code == 3
    assert REFUSED in ended.causes
    assert ended.out.count(REFUSED) == 2, "in full where it happened, and as the cause at the end"


def test_the_ini_file_says_how_long(busy: Place) -> None:
    ended = busy.pytest("-o", "hallmark_device_wait=0", "-m", "server").end()
    assert REFUSED in ended.causes
    assert "device-wait=0 (ini)" in ended.out


def test_the_environment_says_how_long_and_the_server_workflow_ends_with_one_line(busy: Place) -> None:
    ended = busy.release(workflow="server", HALLMARK_DEVICE_WAIT="0").end()
    assert ended.code == 3
    (line,) = [line for line in ended.err.splitlines() if "not free" in line]
    assert REFUSED in line
    assert "Traceback" not in ended.said


def test_an_address_where_nobody_listens_ends_run_py_with_3(place: Place) -> None:
    place.spec()
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    ended = place.release(f"--server-url={url}", workflow="tests").end()
    assert ended.code == 3
    assert f"{url}: no server answers there: Connection refused - start the server" in ended.causes
