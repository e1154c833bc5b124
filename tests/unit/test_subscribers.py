"""A subscriber gets each change in order, or is told that it missed some."""

import asyncio

import pytest

from consentry.errors import ConsentryError, UntrustedLog
from consentry.replica import ConsentReplica
from consentry.replica.subscribers import CHANGES_WAITING, Subscriber
from consentry.settings import Settings
from consentry.state.row import SubjectState
from consentry.terms import Position


def state(number: int) -> SubjectState:
    return SubjectState(subject=f"account:{number}", position=Position(1, 0, number))


async def test_changes_come_in_order() -> None:
    subscriber = Subscriber()
    for number in range(10):
        subscriber.hand_on(state(number))
    subscriber.close()
    seen = []
    while (change := await subscriber.next()) is not None:
        seen.append(change.position.offset)
    assert seen == list(range(10))


async def test_a_subscriber_that_lags_too_far_is_told() -> None:
    subscriber = Subscriber()
    for number in range(CHANGES_WAITING + 1):
        subscriber.hand_on(state(number))
    with pytest.raises(ConsentryError, match="has missed some"):
        await subscriber.next()


async def test_as_many_changes_as_may_wait_are_all_handed_on() -> None:
    subscriber = Subscriber()
    for number in range(CHANGES_WAITING):
        subscriber.hand_on(state(number))
    subscriber.close()
    count = 0
    while await subscriber.next() is not None:
        count += 1
    assert count == CHANGES_WAITING


async def test_who_waits_is_told_of_a_failure() -> None:
    subscriber = Subscriber()
    waiting = asyncio.create_task(subscriber.next())
    await asyncio.sleep(0)
    subscriber.close(UntrustedLog("cut"))
    with pytest.raises(UntrustedLog):
        await waiting


async def test_who_comes_after_the_end_does_not_wait_for_ever() -> None:
    replica = ConsentReplica(Settings(bootstrap_servers="127.0.0.1:1"))
    await replica.stop()
    async with asyncio.timeout(1):
        assert [change async for change in replica.changes()] == []
