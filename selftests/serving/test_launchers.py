"""Which launchers there are is said in one place: names, help and what each goes with follow from it, for a stranger's too."""

from __future__ import annotations

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.option_table import by_name
from hallmark.serving import launchers, option_values
from hallmark.serving.launchers import LauncherKind, help_of, kind_named, launcher_kinds
from hallmark.serving.server import Launcher
from hallmark.serving.site import Site

PODS = LauncherKind(
    name="pods",
    summary="a pod of a cluster",
    site="hallmark.serving.docker.site:DockerSite",
    launcher="hallmark.serving.attach.launcher:AttachLauncher",
    takes_image=True,
)


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind from outside is there beside ours."""
    ours = launcher_kinds()
    monkeypatch.setattr(launchers, "launcher_kinds", lambda: (*ours, PODS))
    monkeypatch.setattr(option_values, "launcher_kinds", lambda: (*ours, PODS))


def test_each_kind_names_a_site_and_a_launcher_that_are_there() -> None:
    pytest.importorskip("docker", reason="not tested: the Docker SDK is not installed")
    kinds = launcher_kinds()
    assert [kind.name for kind in kinds] == ["local", "docker", "attach"]
    for kind in kinds:
        assert issubclass(kind.site_class(), Site)
        assert isinstance(kind.make_launcher(), Launcher)


def test_the_url_of_a_server_stands_for_the_kind_that_needs_one() -> None:
    assert option_values.launcher("", server_url="") == "local"
    assert option_values.launcher("", server_url="http://far:8000") == "attach"
    assert option_values.launcher("docker", server_url="") == "docker"


@pytest.mark.parametrize(
    ("name", "url", "message"),
    [
        ("pod", "", "--server: unknown launcher 'pod' - known: attach, docker, local"),
        ("attach", "", "--server attach needs --server-url"),
        ("local", "http://far:8000", "--server-url does not go with --server local"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, url: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        option_values.launcher(name, server_url=url)
    assert str(caught.value).startswith(message)


@pytest.mark.usefixtures("pods")
def test_a_stranger_s_kind_is_chosen_listed_and_held_to_what_it_says_of_itself() -> None:
    assert option_values.launcher("pods", server_url="") == "pods"
    assert kind_named("pods") is PODS
    assert option_values.image("engine:1", server="pods") == "engine:1"
    with pytest.raises(UsageError, match="add --server docker or --server pods"):
        option_values.image("engine:1", server="local")
    assert help_of(by_name("server")).endswith(": local, docker, attach, pods")


def test_only_the_help_of_server_lists_them() -> None:
    assert help_of(by_name("port")) == by_name("port").help
