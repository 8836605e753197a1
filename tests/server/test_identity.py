"""The server is the one that the spec describes: read back from it, not believed."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server


@pytest.mark.check("server.health")
def test_health(client, server, check):
    answer = client.get("/health").require(200)
    check.observe("/health", answer.status)
    check.observe("start", round(server.started_in_s, 2), unit="s")


def satisfies(version, wanted):
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


@pytest.mark.check("server.version")
def test_version_is_the_pinned_one(cell, client, check):
    """`/version` satisfies the spec's engine version."""
    version = str(part(client.get("/version").require(200).json(), "version"))
    wanted = cell.impl.engine.version
    check.observe("engine version", version, detail={"spec": wanted})
    if not wanted:
        raise Inconclusive(f"the spec pins no engine version; the server states {version!r}")
    if not satisfies(version, wanted):
        raise CheckFailed(f"the server runs {cell.impl.engine.name} {version}, the spec says {wanted}")


@pytest.mark.check("server.model")
def test_served_model_is_the_specs(cell, client, testbed, check):
    """`/v1/models` lists the spec's model, with its context length and weights; the engine has the spec's arguments."""
    models = part(client.get("/v1/models").require(200).json(), "data")
    served = {part(model, "id"): model for model in models}
    check.observe("served models", ", ".join(served))
    if cell.model not in served:
        raise CheckFailed(f"the server serves {', '.join(served) or 'nothing'}, the spec says {cell.model}")
    check.equal("max_model_len", served[cell.model].get("max_model_len"), cell.entry.max_context)
    root = served[cell.model].get("root")
    if root:
        check.equal("weights", root, cell.weights_source)
    differences = testbed.argument_differences
    if told := [str(difference) for difference in differences if difference.contradicts]:
        raise CheckFailed(f"the server was not started as the spec says: {'; '.join(told)}")
    if differences:
        raise Inconclusive(f"whether the server is as the spec says is not known: {'; '.join(map(str, differences))}")
    if testbed.attached and not root:
        raise Inconclusive("which weights an attached server has is not known: /v1/models states no root")
