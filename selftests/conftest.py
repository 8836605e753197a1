"""Of all self-tests: what needs a real vLLM says so, and is left alone where nobody names one."""

from __future__ import annotations

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("server") and not os.environ.get("HALLMARK_SERVER_PYTHON"):
        pytest.skip("not tested: HALLMARK_SERVER_PYTHON names no interpreter with vLLM")
