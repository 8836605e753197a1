"""The server is the one that the spec describes: read back from it, not believed."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.environment.builds import of_version
from hallmark.environment.commits import is_commit

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


def commits_in(version):
    return [build["commit"] for build in of_version(["engine"], version)]


def same_commit(one, other):
    """Either may be cut short."""
    return one.startswith(other.lower()) or other.lower().startswith(one)


@pytest.mark.check("server.version")
def test_version_is_the_pinned_one(cell, client, check):
    """`/version` satisfies the engine version of the spec and names no other commit; `spec.commit` reads what the build is of."""
    version = str(part(client.get("/version").require(200).json(), "version"))
    name, wanted = cell.impl.engine.name, cell.impl.engine.version
    commit = cell.impl.pinned_commits.get(name, "")
    check.observe("engine version", version, detail={"spec": wanted or commit})
    if not wanted and not commit:
        raise Inconclusive(f"the spec pins neither a version nor a commit of the engine; the server states {version!r}")
    if wanted and not satisfies(version, wanted):
        raise CheckFailed(f"the server runs {name} {version}, the spec says {wanted}")
    if others := [told for told in commits_in(version) if is_commit(commit) and not same_commit(told, commit)]:
        raise CheckFailed(f"the server runs {name} {version}, which is of {', '.join(others)}, the spec says {commit}")


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
