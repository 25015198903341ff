"""Admission control, without Ray."""

import asyncio
from collections.abc import Callable

import pytest

from config.settings import GraphStateTunables
from deployments.state.admission import Admission
from voxgraph.errors import Overloaded
from voxgraph.graph import QueueStatus


async def admission(running: int, queued: int, clock: Callable[[], float] | None = None) -> Admission:
    made = Admission(clock) if clock else Admission()
    made.reconfigure(GraphStateTunables(max_running=running, max_queued=queued))
    return made


async def enter(made: Admission, name: str) -> str:
    """Enter by the name as the lease, and return it."""
    await made.enter(name, name)
    return name


async def enter_all(made: Admission, *names: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(enter(made, name)) for name in names]
    await asyncio.sleep(0.01)
    return tasks


async def test_slots_are_granted_in_the_order_of_the_requests() -> None:
    made = await admission(1, 20)
    lease = await enter(made, "first")
    tasks = await enter_all(made, "second", "third")
    assert made.status().running == ("first",)
    assert made.status().queued == 2

    made.leave(lease)
    lease = await tasks[0]
    assert not tasks[1].done()
    made.leave(lease)
    await tasks[1]

    assert made.status().running == ("third",)


async def test_no_more_requests_run_than_there_are_slots() -> None:
    made = await admission(3, 50)
    running, most = 0, 0

    async def request(number: int) -> None:
        nonlocal running, most
        lease = await enter(made, str(number))
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        made.leave(lease)

    await asyncio.gather(*(request(number) for number in range(40)))

    assert most == 3
    assert made.status() == QueueStatus((), 0, 3, 50)


async def test_a_full_queue_refuses_at_once() -> None:
    made = await admission(1, 2)
    await enter(made, "a")
    tasks = await enter_all(made, "b", "c")

    with pytest.raises(Overloaded):
        await asyncio.wait_for(enter(made, "d"), 0.5)

    for task in tasks:
        task.cancel()


async def test_a_cancelled_request_leaves_the_queue() -> None:
    made = await admission(1, 1)
    lease = await enter(made, "a")
    (gone,) = await enter_all(made, "b")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    (waiting,) = await enter_all(made, "c")
    made.leave(lease)

    await asyncio.wait_for(waiting, 0.5)


async def test_the_slot_of_a_crashed_holder_becomes_free() -> None:
    now = [0.0]
    made = await admission(1, 1, lambda: now[0])
    await enter(made, "dead")
    (waiting,) = await enter_all(made, "next")
    now[0] = 11.0

    await asyncio.wait_for(waiting, 5)

    assert made.status().running == ("next",)


async def test_new_slots_are_granted_to_waiting_requests_without_a_restart() -> None:
    made = await admission(1, 5)
    await enter(made, "a")
    tasks = await enter_all(made, "b", "c", "d")

    made.reconfigure(GraphStateTunables(max_running=3, max_queued=5))
    await asyncio.sleep(0.01)

    assert [task.done() for task in tasks] == [True, True, False]
    tasks[2].cancel()


async def test_a_lease_that_was_given_back_before_its_request_came_takes_no_slot() -> None:
    made = await admission(1, 5)

    made.leave("a")
    await enter(made, "a")

    assert made.status().running == ()
    await asyncio.wait_for(enter(made, "b"), 0.5)


async def test_giving_a_lease_back_ends_its_wait_and_leaves_the_others_in_order() -> None:
    made = await admission(1, 5)
    await enter(made, "a")
    tasks = await enter_all(made, "b", "c", "d")

    made.leave("c")
    await asyncio.wait_for(tasks[1], 0.5)

    assert made.status() == QueueStatus(("a",), 2, 1, 5)
    made.leave("a")
    await asyncio.sleep(0.01)
    assert made.status() == QueueStatus(("b",), 1, 1, 5)
    made.leave("b")
    await asyncio.wait_for(tasks[2], 0.5)
    assert made.status() == QueueStatus(("d",), 0, 1, 5)


async def test_a_request_that_is_made_again_has_one_slot() -> None:
    made = await admission(2, 5)
    await enter(made, "a")
    await enter(made, "a")
    await enter(made, "b")
    twice = await enter_all(made, "c", "c")

    made.leave("a")
    await asyncio.wait_for(asyncio.gather(*twice), 3.0)

    assert made.status().running == ("b", "c")


async def test_leases_that_were_given_back_early_are_forgotten() -> None:
    now = [0.0]
    made = await admission(1, 5, lambda: now[0])
    for name in "abc":
        made.leave(name)
    now[0] = 11.0

    await enter(made, "d")

    assert not made._left


async def test_leaving_twice_releases_one_slot() -> None:
    made = await admission(1, 5)
    lease = await enter(made, "a")
    made.leave(lease)
    await enter(made, "b")

    made.leave(lease)

    assert made.status().running == ("b",)
