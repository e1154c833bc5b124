"""POST /v1/events of a list: a person has seen their own tightening in it, and nothing that nobody had seen yet."""

from typing import Any

import pytest
from contract.in_memory import NOW, Node, act, grant, question

from consentry.events import AnySubjectEvent, ConsentGiven
from consentry.state.row import RECENT_EVENTS
from consentry.terms import Position

HOUR_MS = 3_600_000
REVOKED = {**act("ConsentRevoked", reason="the purpose has ended"), "actor": {"role": "controller", "id": "staff-7"}}


def first(kind: str = "ConsentWithdrawn", **fields: Any) -> dict[str, Any]:
    """What the list says the person did an hour ago."""
    return act(kind, at=NOW - HOUR_MS, **fields)


def then(**fields: Any) -> dict[str, Any]:
    """The grant that they gave a moment later: before anything else that the log holds."""
    return grant(at=NOW - HOUR_MS + 1, **fields)


class StaleNode(Node):
    """It sees nothing that is appended until it waits for it, and then all of it, unless it is too slow."""

    def __init__(self, *, sees_in_time: bool = True) -> None:
        super().__init__()
        self.log.folds_at_once = False
        wait_for = self.log.wait_for

        async def fold_and_wait(position: Position, timeout_ms: int) -> bool:
            if sees_in_time:
                self.log.fold()
            return await wait_for(position, timeout_ms)

        self.log.wait_for = fold_and_wait  # type: ignore[method-assign]


def given_of(node: Node) -> list[tuple[str, str | None]]:
    """Of each grant in the log: where it stands, and what it says to have seen."""
    events: list[tuple[Position, AnySubjectEvent]] = [(each.position, each.event) for each in node.log.appended]
    return [(str(place), event.expected_position) for place, event in events if isinstance(event, ConsentGiven)]


async def is_allowed(node: Node) -> bool:
    node.log.fold()
    answer: bool = (await node.ask(question())).json()["decision"]
    return answer


@pytest.mark.parametrize("kind", [Node, StaleNode])
async def test_a_grant_that_follows_the_persons_own_withdrawal_in_a_list_counts(kind: type[Node]) -> None:
    node = kind()
    answer = await node.record([first(), then()], params={"wait": "1000"})
    assert [event["effect"] for event in answer.json()["events"]] == ["applied", "applied"]
    withdrawn, given = [event["position"] for event in answer.json()["events"]]
    assert given_of(node) == [(given, withdrawn)]
    assert await is_allowed(node)


async def test_a_list_does_not_loosen_over_a_revocation_that_its_node_had_not_seen() -> None:
    """Intake judges by a row without it; by the time of the grant the log holds it."""
    node = StaleNode()
    await node.record(grant(at=NOW - 2 * HOUR_MS))
    node.log.fold()
    await node.record(REVOKED)
    answer = await node.record([first(), then()], params={"wait": "1000"})
    assert [event["effect"] for event in answer.json()["events"]] == ["applied", "superseded"]
    assert [seen for _, seen in given_of(node)] == [None, None]
    assert not await is_allowed(node)


async def test_any_other_event_in_between_leaves_the_grant_to_its_clock() -> None:
    node = StaleNode()
    await node.record(first("ConsentDeferred", policy_version=1))
    await node.record([first(), then()])
    assert [seen for _, seen in given_of(node)] == [None]
    assert not await is_allowed(node)


async def test_what_is_not_seen_in_time_is_not_said_to_have_been() -> None:
    node = StaleNode(sees_in_time=False)
    answer = await node.record([first(), then()])
    assert answer.status_code == 201
    assert [seen for _, seen in given_of(node)] == [None]
    assert not await is_allowed(node)


@pytest.mark.parametrize("kind", [Node, StaleNode])
async def test_who_saw_the_rows_last_tightening_has_seen_the_own_one_in_the_list_too(kind: type[Node]) -> None:
    """By its clock the grant could not have known of what was revoked after it; the caller says that it was shown."""
    node = kind()
    revoked = (await node.record(REVOKED)).json()["position"]
    node.log.fold()
    answer = await node.record([first(), then(expected_position=revoked)], params={"wait": "1000"})
    assert [event["effect"] for event in answer.json()["events"]] == ["applied", "applied"]
    withdrawn, given = [event["position"] for event in answer.json()["events"]]
    assert given_of(node) == [(given, withdrawn)]
    assert await is_allowed(node)


async def test_who_saw_another_position_than_the_rows_last_tightening_has_seen_nothing_more() -> None:
    node = Node()
    seen = (await node.record(act("ConsentWithdrawn"))).json()["position"]
    await node.record(REVOKED)
    await node.record([first(), then(expected_position=seen)])
    assert [position for _, position in given_of(node)] == [seen]
    assert not await is_allowed(node)


async def test_what_a_caller_saw_is_not_moved_on_over_a_revocation_that_its_node_had_not_seen() -> None:
    node = StaleNode()
    seen = (await node.record(act("ConsentWithdrawn"))).json()["position"]
    node.log.fold()
    await node.record(REVOKED)
    await node.record([first(), then(expected_position=seen)])
    assert [position for _, position in given_of(node)] == [seen]
    assert not await is_allowed(node)


@pytest.mark.parametrize("kind", [Node, StaleNode])
async def test_each_grant_of_a_list_has_seen_the_last_of_the_persons_own_stops(kind: type[Node]) -> None:
    node = kind()
    other = {"subject": "account:u-2", "actor": {"role": "subject", "id": "account:u-2"}}
    body = [first(), {**first(), **other}, then(), {**then(), **other}, then(), first("ConsentRefused"), then()]
    places = [event["position"] for event in (await node.record(body)).json()["events"]]
    assert given_of(node) == [(places[at], places[seen]) for at, seen in ((2, 0), (3, 1), (4, 0), (6, 5))]
    assert await is_allowed(node)


async def test_a_list_longer_than_a_row_remembers_fills_nothing_in() -> None:
    """Whatever came before it, the row would show the list's own events alone."""
    for count, seen in ((RECENT_EVENTS - 1, True), (RECENT_EVENTS, False)):
        node = StaleNode()
        await node.record([first(reason=f"r{number}") for number in range(count)] + [then()])
        assert [each is not None for _, each in given_of(node)] == [seen]
