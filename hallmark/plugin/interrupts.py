"""SIGINT and SIGTERM (a CI job that is cancelled) end a session once: fixtures torn down, servers stopped, report written."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest

from hallmark.core.signals import EndSignals


def interrupts_of(config: pytest.Config) -> Interrupts:
    """The session's, from now on: those that the program brought along (`python -m hallmark.plugin`), or new ones."""
    found = next((plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Interrupts)), None)
    if found is None:
        found = Interrupts(EndSignals(), of_program=False)
        config.pluginmanager.register(found, "hallmark-interrupts")
        found.signals.take()
    if config.option.usepdb:
        found.signals.leave(signal.SIGINT)  # Ctrl-C belongs to whoever debugs
    return found


class Interrupts:
    """A plugin that says from when on a signal may raise nothing any more, because the session is ending already."""

    def __init__(self, signals: EndSignals, *, of_program: bool) -> None:
        self.signals = signals
        self._of_program = of_program
        """Whether the signals are the program's until its last instruction."""
        self._workers: list[int] = []

    @property
    def received(self) -> bool:
        """Whether a signal asked for the end."""
        return self.signals.first is not None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.signals.raise_again()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self.signals.only_note()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        self.signals.only_note()
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        """xdist: remember the workers of this machine."""
        if gateway.spec.popen:
            self._workers.append(gateway._rinfo().pid)  # noqa: SLF001 - xdist's own reporting asks it so

    def pytest_keyboard_interrupt(self) -> None:
        """End the workers now: by themselves they would go on for five seconds and more."""
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if not self._of_program:
            self.signals.give_back()
