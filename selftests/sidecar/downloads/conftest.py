"""The real S3-compatible server that the tests of one module share; each test has a bucket of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selftests.sidecar.downloads.object_server import ObjectServer


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    server = ObjectServer()
    yield server
    server.stop()
