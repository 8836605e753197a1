"""Scrapes that come together share one reading of the engine; one that comes later gets its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from hallmark_services.sidecar import scrape
from hallmark_services.sidecar.engine import EngineFault, Reply
from hallmark_services.sidecar.metrics.rules import Engine
from hallmark_services.sidecar.scrape import Scrape, Scraper
from hallmark_services.sidecar.settings import SidecarSettings

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Readings:
    """A stand-in for the engine's client: it answers when `released`, and knows how often it was asked and given up."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    fault: EngineFault | None = None
    asked: int = 0
    given_up: int = 0

    async def exposition(self, *, accept: str, timeout_s: float) -> Reply:
        self.asked += 1
        number = self.asked
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.fault:
            raise self.fault
        return Reply(200, b"reading %d\n" % number, "text/plain; version=0.0.4")


def scraper_of(readings: Readings) -> Scraper:
    settings = SidecarSettings(engine=Engine.VLLM, pod="pod", model="m")
    return Scraper(settings, readings, dict)  # type: ignore[arg-type] - the one method of it that a scrape uses


def up(answer: Scrape) -> bool:
    return b"engine_up 1\n" in answer.body


async def ask(scraper: Scraper, accept: str = "", patience_s: float = 30) -> Scrape:
    return await scraper.scrape(accept=accept, patience_s=patience_s)


def test_twenty_at_once_read_the_engine_once_and_each_gets_all_of_it() -> None:
    async def main() -> None:
        readings = Readings()
        scraper = scraper_of(readings)
        asked = [asyncio.create_task(ask(scraper)) for _ in range(20)]
        await asyncio.sleep(0)
        readings.released.set()
        answers = await asyncio.gather(*asked)
        assert readings.asked == 1
        assert {answer.body for answer in answers} == {answers[0].body}
        assert up(answers[0])
        assert b"reading 2" in (await ask(scraper)).body

    asyncio.run(main())


def test_who_wants_another_format_is_read_for_apart() -> None:
    async def main() -> None:
        readings = Readings()
        readings.released.set()
        scraper = scraper_of(readings)
        plain, other = await asyncio.gather(ask(scraper), ask(scraper, OPENMETRICS))
        assert readings.asked == 2
        assert (plain.content_type.split(";")[0], other.content_type.split(";")[0]) == ("text/plain", OPENMETRICS.split(";")[0])

    asyncio.run(main())


def test_who_comes_a_while_later_does_not_wait_for_a_reading_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        readings = Readings()
        scraper = scraper_of(readings)
        hanging = asyncio.create_task(ask(scraper))
        await asyncio.sleep(0)
        monkeypatch.setattr(scrape, "_SHARED_S", -1.0)
        later = asyncio.create_task(ask(scraper))
        await asyncio.sleep(0)
        readings.released.set()
        assert b"reading 1" in (await hanging).body
        assert b"reading 2" in (await later).body

    asyncio.run(main())


def test_one_that_stops_waiting_takes_nothing_from_the_others() -> None:
    async def main() -> None:
        readings = Readings()
        scraper = scraper_of(readings)
        patient = asyncio.create_task(ask(scraper))
        assert not up(await ask(scraper, patience_s=0.01))
        assert readings.given_up == 0
        readings.released.set()
        assert up(await patient)
        assert readings.asked == 1

    asyncio.run(main())


def test_a_reading_that_nobody_waits_for_is_given_up_and_not_joined() -> None:
    async def main() -> None:
        readings = Readings()
        scraper = scraper_of(readings)
        assert not up(await ask(scraper, patience_s=0.01))
        readings.released.set()
        assert up(await ask(scraper))
        assert (readings.asked, readings.given_up) == (2, 1)

    asyncio.run(main())


def test_a_fault_is_told_to_each_and_counted_for_each() -> None:
    async def main() -> None:
        readings = Readings(fault=EngineFault("protocol", "broken"))
        readings.released.set()
        scraper = scraper_of(readings)
        answers = await asyncio.gather(*(ask(scraper) for _ in range(3)))
        assert readings.asked == 1
        assert not any(map(up, answers))
        assert any(b'engine_scrape_failures_total{reason="protocol"} 3\n' in answer.body for answer in answers)

    asyncio.run(main())
