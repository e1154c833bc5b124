"""GET /v1/watch: changes as server-sent events; whoever comes again loses no change of a final state."""

import asyncio
import time
from typing import Any

import pytest
from contract.in_memory import Node, act, grant, pointers_of
from contract.watching import Event, watching
from hypothesis import given, settings
from hypothesis import strategies as st

from consentry.errors import ConsentryError
from consentry.settings import Secret, Settings
from streams.query import watching as module

ADA, BOB, EVE = "account:ada", "account:bob", "account:eve"


@pytest.fixture(autouse=True)
def marks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARK_S", 0.1)


async def given_by(node: Node, subject: str, kind: str = "ConsentGiven", **fields: Any) -> str:
    """What the subject does; the position of it."""
    body = grant(**fields) if kind == "ConsentGiven" else act(kind, **fields)
    answer = await node.record(body | {"subject": subject, "actor": {"role": "subject", "id": subject}})
    assert answer.status_code == 201, answer.text
    position: str = answer.json()["position"]
    return position


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.data["subject"], event.data["position"]) for event in events]


async def test_a_watcher_is_told_how_a_subject_stands_and_then_of_each_change() -> None:
    node = Node()
    first = await given_by(node, ADA)
    async with watching(node, [ADA, BOB]) as listener:
        begun = await listener.next()
        assert (begun.name, begun.data) == ("watching", {"subjects": [ADA, BOB], "resumed": False})
        assert told(await listener.states(1)) == [(ADA, first)]
        second = await given_by(node, ADA, "ConsentWithdrawn")
        await given_by(node, EVE)
        third = await given_by(node, BOB)
        events = await listener.states(2)
        assert told(events) == [(ADA, second), (BOB, third)]
    withdrawn = events[0].data
    assert withdrawn["tightened_position"] == second
    assert withdrawn["quarantined"] is False
    assert any("withdrawn" in words for words in withdrawn["changes"])
    assert listener.headers["content-type"] == "text/event-stream"
    assert listener.headers["cache-control"] == "no-store"


async def test_who_watches_everybody_is_told_of_whatever_changes_from_then_on() -> None:
    node = Node()
    await given_by(node, ADA)
    async with watching(node) as listener:
        assert (await listener.next()).data == {"subjects": [], "resumed": False}
        positions = [(name, await given_by(node, name)) for name in (BOB, ADA, EVE)]
        assert told(await listener.states(3)) == positions


async def test_a_change_that_is_overtaken_is_told_once_as_it_stands() -> None:
    node = Node()
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        listener.reads.clear()
        for _ in range(3):
            last = await given_by(node, ADA)
        listener.reads.set()
        events = [await listener.next("state")]
        while events[-1].data["position"] != last:
            events.append(await listener.next("state"))
        assert len(events) <= 2
        await asyncio.sleep(0.05)
        assert listener.nothing_waits()


async def test_who_comes_again_is_told_only_of_those_named_that_changed_meanwhile() -> None:
    node = Node()
    for name in (ADA, BOB, EVE):
        await given_by(node, name)
    async with watching(node, [ADA, BOB, EVE]) as listener:
        last_event_id = (await listener.states(3))[-1].id
    changed = await given_by(node, BOB, "ConsentWithdrawn")
    async with watching(node, [EVE, BOB, ADA], last_event_id) as listener:  # in whatever order they are named
        assert (await listener.next("watching")).data["resumed"] is True
        assert told(await listener.states(1)) == [(BOB, changed)]
        await asyncio.sleep(0.05)
        assert listener.nothing_waits()


async def test_who_was_cut_off_while_several_were_told_loses_none_of_them() -> None:
    node = Node()
    for name in (ADA, BOB, EVE):
        await given_by(node, name)
    async with watching(node, [ADA, BOB, EVE]) as listener:
        first = await listener.next("state")
    async with watching(node, [ADA, BOB, EVE], first.id) as listener:
        rest = await listener.states(2)
    assert {event.data["subject"] for event in [first, *rest]} == {ADA, BOB, EVE}


async def test_who_watched_everybody_and_comes_again_is_told_of_all_that_changed_meanwhile() -> None:
    node = Node()
    await given_by(node, ADA)
    async with watching(node) as listener:
        last_event_id = (await listener.next("watching")).id
    changed = {(BOB, await given_by(node, BOB)), (EVE, await given_by(node, EVE))}
    async with watching(node, [], last_event_id) as listener:
        assert (await listener.next("watching")).data["resumed"] is True
        assert set(told(await listener.states(2))) == changed
        await asyncio.sleep(0.05)
        assert listener.nothing_waits()


async def test_who_watches_everybody_and_is_cut_off_while_it_catches_up_loses_nothing() -> None:
    node = Node()
    async with watching(node) as listener:
        last_event_id = (await listener.next("watching")).id
    changed = {(name, await given_by(node, name)) for name in sorted(f"account:n-{number}" for number in range(5))}
    async with watching(node, [], last_event_id, takes=3) as listener:  # its head, that it begins, and one change
        seen = told([await listener.next("state")])
        await asyncio.sleep(0.3)  # watermarks are noted meanwhile
        listener.take(2)
        events = await listener.states(2)
        seen += told(events)
    async with watching(node, [], events[-1].id) as listener:
        await listener.next("watching")
        while set(seen) != changed:
            seen += told([await listener.next("state")])


async def test_what_waits_to_be_told_is_not_counted_as_told() -> None:
    node = Node()
    async with watching(node, takes=2) as listener:  # its head, and that it begins
        await listener.next("watching")
        changed = [(name, await given_by(node, name)) for name in (ADA, BOB, EVE)]
        await asyncio.sleep(0.3)  # watermarks are noted meanwhile
        listener.take(2)
        events = await listener.states(2)
    async with watching(node, [], events[-1].id) as listener:
        await listener.next("watching")
        seen = told(events)
        while set(seen) != set(changed):
            seen += told([await listener.next("state")])


async def test_what_was_told_to_who_watches_everybody_is_not_told_again() -> None:
    node = Node(settings=Settings(watch_heartbeat_ms=10))
    async with watching(node) as listener:
        begun = await listener.next("watching")
        await given_by(node, ADA)
        await listener.next("state")
        async with asyncio.timeout(60):
            while (beat := await listener.next("")).id == begun.id:
                pass
    async with watching(node, [], beat.id) as listener:
        await listener.next("watching")
        await asyncio.sleep(0.05)
        assert await listener.next("")
        later = await given_by(node, BOB)
        assert told([await listener.next("state")]) == [(BOB, later)]


@pytest.mark.parametrize("subjects", [[], [ADA]])
@pytest.mark.parametrize(
    "last_event_id", ["x", "all.e2.0,0,0,0", "all.e1.", "all.e1.a,b", "all.e1." + "9" * 40, ".", "all.e1.-1", "ä"]
)
async def test_an_id_that_is_none_of_ours_leaves_nothing_out(subjects: list[str], last_event_id: str) -> None:
    node = Node()
    position = await given_by(node, ADA)
    async with watching(node, subjects, last_event_id) as listener:
        assert told(await listener.states(1)) == [(ADA, position)]


async def test_an_id_of_other_subjects_leaves_nothing_out() -> None:
    node = Node()
    await given_by(node, BOB)
    async with watching(node, [BOB]) as listener:
        last_event_id = (await listener.next("state")).id
    position = await given_by(node, ADA)
    async with watching(node, [ADA], last_event_id) as listener:
        assert told(await listener.states(1)) == [(ADA, position)]


async def test_a_heartbeat_is_sent_while_nothing_changes() -> None:
    node = Node(settings=Settings(watch_heartbeat_ms=10))
    async with watching(node, [ADA]) as listener:
        begun = await listener.next("watching")
        assert (await listener.next("")).id == begun.id


async def test_a_watcher_that_reads_too_slowly_is_dropped_and_told_so_and_loses_nothing() -> None:
    names = [f"account:n-{number}" for number in range(4)]
    node = Node(settings=Settings(watch_changes=3))
    async with watching(node) as listener:
        begun = await listener.next("watching")
        listener.reads.clear()
        for name in names[:3]:  # at the limit
            await given_by(node, name)
        listener.reads.set()
        assert len(await listener.states(3)) == 3
        listener.reads.clear()
        for name in (ADA, *names):  # the first is on its way; then one more than may wait
            await given_by(node, name)
            await asyncio.sleep(0)
        listener.reads.set()
        *_, last = await listener.ended()
    assert last.name == "dropped"
    assert "3 changes wait" in last.data["why"]
    async with watching(node, [], last.id or begun.id) as listener:
        found = {event.data["subject"] for event in await listener.states(5)}
    assert found == {ADA, *names}
    assert "consentry_watchers_dropped_total 1.0" in (await node.send("GET", "/metrics")).text


async def test_a_watcher_that_reads_nothing_is_cut_off_in_time() -> None:
    node = Node(settings=Settings(request_timeout_ms=30))
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        listener.reads.clear()
        await given_by(node, ADA)
        async with asyncio.timeout(10):
            while "consentry_watchers 0.0" not in (await node.send("GET", "/metrics")).text:
                await asyncio.sleep(0.01)


async def test_who_hangs_up_watches_no_more() -> None:
    node = Node()
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        assert "consentry_watchers 1.0" in (await node.send("GET", "/metrics")).text
        assert len(node.log.subscribers) == 1
    await asyncio.sleep(0)
    assert "consentry_watchers 0.0" in (await node.send("GET", "/metrics")).text
    await asyncio.sleep(0.01)
    assert not node.log.subscribers


async def test_watchers_share_one_subscription() -> None:
    node = Node()
    async with watching(node, [ADA]) as first, watching(node) as second:
        for listener in (first, second):
            await listener.next("watching")
        assert len(node.log.subscribers) == 1
        position = await given_by(node, ADA)
        for listener in (first, second):
            assert told(await listener.states(1)) == [(ADA, position)]


async def test_one_watcher_more_than_the_limit_is_told_to_ask_elsewhere() -> None:
    node = Node(settings=Settings(watchers=1))
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        async with watching(node, [ADA]) as refused:
            assert await refused.ended() == []
            assert (refused.status, refused.problem["code"]) == (503, "BUSY")
    await asyncio.sleep(0)
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")


async def test_a_node_that_is_not_ready_tells_of_no_changes() -> None:
    node = Node()
    node.log.not_ready_because = "the state is still being read"
    refused = await node.send("GET", "/v1/watch")
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert "still being read" in refused.json()["detail"]


async def test_when_the_node_stops_each_watcher_is_told_to_come_again() -> None:
    node = Node()
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        node.api.watching.close()
        (last,) = await listener.ended()
        assert (last.name, last.data) == ("dropped", {"why": "the node stops"})
        assert (await node.send("GET", "/v1/watch")).status_code == 503


async def test_when_the_node_can_follow_no_more_each_watcher_is_told() -> None:
    node = Node()
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        for subscriber in node.log.subscribers:
            subscriber.close(ConsentryError("the log is another"))
        (last,) = await listener.ended()
        assert (last.name, last.data) == ("dropped", {"why": "the log is another"})
    async with watching(node, [ADA]) as listener:  # and whoever comes then is served anew
        await listener.next("watching")
        await given_by(node, ADA)
        await listener.next("state")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("subject=eve@example.org", "?subject"), ("subjet=account:ada", "?"), ("subject=", "?subject"), ("x", "?")],
)
async def test_who_is_no_subject_cannot_be_watched(query: str, pointer: str) -> None:
    refused = await Node(settings=Settings(watchers=0)).send("GET", f"/v1/watch?{query}")
    assert (refused.status_code, pointers_of(refused)) == (400, [pointer])


async def test_no_more_subjects_are_named_than_the_limit() -> None:
    node = Node(settings=Settings(watch_subjects=2))
    async with watching(node, [ADA, BOB]) as listener:
        await listener.next("watching")
    refused = await node.send("GET", "/v1/watch", params={"subject": [ADA, BOB, EVE]})
    assert (refused.status_code, pointers_of(refused)) == (400, ["?subject"])


async def test_with_a_pepper_a_watcher_hears_of_a_subject_by_the_name_it_knows() -> None:
    node = Node(settings=Settings(subject_pepper=Secret("pepper")))
    async with watching(node, [ADA]) as listener:
        await listener.next("watching")
        await given_by(node, ADA)
        event = await listener.next("state")
    assert event.data["asked_as"] == ADA
    assert event.data["subject"].startswith("account:h1:")


async def test_what_was_noted_before_the_node_was_held_up_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its timers are then due at once, and a change may not have been handed on before its watermark counts."""
    held_up = asyncio.create_task(module._on_time(0.05))
    await asyncio.sleep(0)
    time.sleep(0.02)
    assert await held_up is False
    async with asyncio.timeout(30):
        while not await module._on_time(0.5):  # on a machine that is busy with other things too
            pass

    async def never(_duration_s: float) -> bool:
        await asyncio.sleep(0.01)
        return False

    monkeypatch.setattr(module, "_on_time", never)
    node = Node(settings=Settings(watch_heartbeat_ms=10))
    async with watching(node) as listener:
        begun = await listener.next("watching")
        await given_by(node, ADA)
        await listener.next("state")
        await asyncio.sleep(0.05)
        assert (await listener.next("")).id == begun.id


STEPS = st.lists(st.sampled_from(["change", "read", "cut", "mark", "hold"]), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(
    STEPS,
    st.lists(st.sampled_from([ADA, BOB, EVE, "account:u-1", "account:u-2"]), min_size=25, max_size=25),
    st.booleans(),
)
async def test_however_often_a_watcher_is_cut_off_it_ends_with_every_final_state(
    steps: list[str], names: list[str], named: bool
) -> None:
    node = Node(settings=Settings(watch_changes=2, watch_heartbeat_ms=5))
    everybody = sorted(set(names))
    subjects = everybody if named else []
    seen: dict[str, str] = {}
    last_id, rest, held = "", list(steps), False
    final: dict[str, str] = {}

    def note(event: Event) -> None:
        nonlocal last_id
        last_id = event.id or last_id
        if event.name == "state":
            before = seen.get(event.data["subject"])
            seen[event.data["subject"]] = event.data["position"]
            assert before is None or int(before.rpartition("o")[2]) <= int(event.data["position"].rpartition("o")[2])

    ended = False
    while not ended:
        async with watching(node, subjects, last_id) as listener:
            note(await listener.next("watching"))
            while rest:
                step = rest.pop(0)
                if step == "change":
                    name = names[len(rest) % len(names)]
                    final[name] = await given_by(node, name)
                elif step == "mark":
                    await asyncio.sleep(0.15)
                elif step == "hold":
                    held = not held
                    (listener.reads.clear if held else listener.reads.set)()
                elif step == "read":
                    while not listener.nothing_waits():
                        note(await listener.next("state", "dropped", ""))
                else:
                    break
            else:
                listener.reads.set()
                async with asyncio.timeout(5):
                    while not ended:
                        event = await listener.next("state", "dropped", "")
                        note(event)
                        if event.name == "dropped":
                            break
                        ended = event.name == "" and final.items() <= seen.items()
        held = False
    assert {name: seen[name] for name in final} == final
