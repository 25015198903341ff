"""Clients that wait for places take turns."""

import asyncio

import pytest

from deployments.api.fair_places import FairPlaces


class Crowd:
    """Work of clients that holds its place until it is told to end."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.fair = FairPlaces(lambda: self.places)
        self.begun = list[str]()
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """Ask for a place for each name, whose first letter is the client."""
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._work(name))
        await settle()

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
            await settle()

    async def _work(self, name: str) -> None:
        async with self.fair.place(name[0]):
            self.begun.append(name)
            await self.ends[name].wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_client_that_asks_once_does_not_wait_for_all_of_another() -> None:
    crowd = Crowd(1)
    await crowd.ask("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    for name in ("a1", "a2", "b1", "c1", "a3", "b2", "a4"):
        await crowd.end(name)

    assert crowd.begun == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_one_client_alone_has_every_place() -> None:
    crowd = Crowd(2)
    await crowd.ask("a1", "a2", "a3")
    assert crowd.begun == ["a1", "a2"]
    await crowd.end("a2", "a1", "a3")

    assert crowd.begun == ["a1", "a2", "a3"]


@pytest.mark.parametrize("has_begun", [False, True])
async def test_who_leaves_holds_no_place(has_begun: bool) -> None:
    crowd = Crowd(1)
    await crowd.ask("a1", "b1", "c1")
    crowd.tasks["a1" if has_begun else "b1"].cancel()
    await crowd.end("b1" if has_begun else "a1")

    assert crowd.begun == (["a1", "b1", "c1"] if has_begun else ["a1", "c1"])


async def test_who_leaves_when_its_turn_has_come_gives_the_place_on() -> None:
    crowd = Crowd(1)
    await crowd.ask("a1", "b1", "c1")
    crowd.ends["a1"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    crowd.tasks["b1"].cancel()
    await settle()

    assert "c1" in crowd.begun


async def test_more_places_are_taken_at_the_next_change() -> None:
    crowd = Crowd(1)
    await crowd.ask("a1", "a2", "a3", "a4")
    crowd.places = 2
    await crowd.end("a1")

    assert crowd.begun == ["a1", "a2", "a3"]
