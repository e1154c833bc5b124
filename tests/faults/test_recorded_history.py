"""What many readers saw of two nodes, while people acted and workers were killed, and what no history may hold.

Each person's acts are sent one at a time, so that what was acknowledged last is known; readers ask about anybody.
"""

import asyncio
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from casebook import patched, revised
from contract.in_memory import act, question
from running import WAIT_S, make_topics, settings_for, until_assigned, worker
from stack.test_cases_revised import _publish
from stack.test_query import Serving, now_ms, serving
from unit.story import DOCUMENT, TEXT

from consentry.intake import CallerRole
from consentry.settings import Settings
from consentry.terms import Position, Reason

pytestmark = [pytest.mark.stack, pytest.mark.slow]

PURPOSE, DATUM, CLAUSE = "account.profile", "gender", "1.1.1.a"
ADULTS, WARDS, READERS, NODES = 6, 4, 6, 2
ACT_S = 15.0
NOTICE_MS = 10_000
ANSWERS_LATER = frozenset({Reason.NOT_YET_VISIBLE, Reason.STALE})
"""a node that has not read so far, or cannot prove how fresh it is, denies, and may be asked again"""
CONTROLLER = {"role": "controller", "id": "olga"}
A_DAY_MS = 86_400_000


class Known(msgspec.Struct, frozen=True):
    """What is true from an acknowledged act on, until the next one is sent."""

    position: Position
    allowed: bool


class Person:
    """Somebody whose acts are sent one at a time, each of them until it is acknowledged."""

    def __init__(self, name: str, on: Serving, chance: random.Random) -> None:
        self.name = name
        self.subject = f"account:{name}"
        self.chance = chance
        self.policy_version = 1
        self.known: Known | None = None
        """None while an act is on its way: its effect may be seen or not"""
        self._on = on
        self._seen: dict[str, str] = {}

    async def does(self, kind: str, *, allowed: bool = False, late_ms: int = 0, **fields: Any) -> None:
        await asyncio.sleep(0.005)  # what the person does comes after what was recorded, by any clock
        fields = {"purpose": None, "actor": {"role": "subject", "id": self.subject}, **fields}
        body = act(kind, at=now_ms() - late_ms, event_id=str(uuid.uuid4()), **fields, subject=self.subject)
        body = {name: value for name, value in body.items() if value is not None}
        self.known = None
        deadline = time.monotonic() + WAIT_S
        while True:  # a repetition of what has an unknown outcome is the same event
            answer = await self._on.client.post("/v1/events", json=body, params=self._seen)
            if answer.status_code == 201:
                break
            assert answer.status_code == 503, f"{body}\n{answer.text}"
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.1)
        self._seen = {"min_position": answer.json()["position"]}
        self.known = Known(Position.parse(answer.json()["position"]), allowed)

    async def grants(self, *, allowed: bool = True, **fields: Any) -> None:
        terms = {"purpose": PURPOSE, "policy_version": self.policy_version, "expression": "separate"}
        await self.does("ConsentGiven", allowed=allowed, **terms, **fields)

    async def pauses(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.3))

    async def acts_until(self, end: float) -> None:
        raise NotImplementedError


class Adult(Person):
    """Grants, and is stopped in one way or another, again and again; a grant is the last."""

    async def acts_until(self, end: float) -> None:
        while True:
            await self.grants()
            await self.pauses()
            if time.monotonic() > end:
                return
            await self._stops()
            await self.pauses()

    async def _stops(self) -> None:
        late_ms = self.chance.choice([0, A_DAY_MS])  # whatever the clock of what tightens says
        match self.chance.randrange(4):
            case 0:
                await self.does("ConsentWithdrawn", purpose=PURPOSE, late_ms=late_ms)
            case 1:
                await self.does("ConsentWithdrawn", late_ms=late_ms)
            case 2:
                await self.does("ConsentRefused", purpose=PURPOSE, scene="start", late_ms=late_ms)
            case _:
                await self.does("ConsentRevoked", purpose=PURPOSE, actor=CONTROLLER, reason="it was retired")


class Ward(Person):
    """A child: what the guardian agreed to ends with a stop of either, or with the guardian; a grant is the last."""

    async def acts_until(self, end: float) -> None:
        mum = f"{self.subject}-mum"
        guardian = {"role": "guardian", "id": mum}
        await self.does("AgeAsserted", age_band="child", source="verified", actor=CONTROLLER)
        while True:
            await self.does("GuardianLinked", guardian=mum, relation="mother")
            await self.does("GuardianVerified", guardian=mum, method="video call", actor=CONTROLLER)
            await self.does("PolicyAccepted", policy_version=self.policy_version, actor=guardian)
            for _ in range(2):
                await self.grants(actor=guardian)
                await self.pauses()
                who = {"actor": guardian} if self.chance.random() < 0.5 else {}
                await self.does("ConsentWithdrawn", purpose=PURPOSE, **who)
                await self.pauses()
                if not who:  # an own stop is the ward's to lift, which alone is not enough
                    await self.grants(allowed=False)
                    await self.pauses()
            await self.grants(actor=guardian)
            await self.pauses()
            if time.monotonic() > end:
                return
            await self.does("GuardianUnlinked", guardian=mum, reason="custody has changed", actor=CONTROLLER)


class History:
    """What readers were answered, and what of it must never be."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.pairs = 0
        """questions that both nodes answered, alike"""
        self.wrong: list[str] = []

    def record(self, person: Person, known: Known, answers: list[dict[str, Any]], *, nothing_sent: bool) -> None:
        for answer in answers:
            context = answer["context"]
            self.answers[context["reason"]] += 1
            if context["reason"] != Reason.NOT_YET_VISIBLE and Position.parse(context["position"]) < known.position:
                self._is_wrong(person, known, "is older than the token", answer)
        if not nothing_sent:
            return
        for answer in answers:
            settled = answer["context"]["reason"] not in ANSWERS_LATER
            if answer["decision"] and not known.allowed:
                self._is_wrong(person, known, "was acknowledged, and yet it is allowed", answer)
            if known.allowed and settled and not answer["decision"]:
                self._is_wrong(person, known, "was acknowledged, and yet it is denied", answer)
        told = [answer["context"] for answer in answers if answer["context"]["reason"] not in ANSWERS_LATER]
        if len(told) == NODES:
            self.pairs += 1
            if len({(context["reason"], *context["evidence"]) for context in told}) > 1:
                self._is_wrong(person, known, "has two answers", *answers)

    def _is_wrong(self, person: Person, known: Known, what: str, *answers: dict[str, Any]) -> None:
        self.wrong.append(f"{person.name} at {known.position}, {known.allowed}: {what}: {answers}")


async def _reads(people: list[Person], nodes: list[Serving], chance: random.Random, history: History) -> None:
    """Asks both nodes with the position of what was acknowledged last."""
    while True:
        person = chance.choice(people)
        known = person.known
        if known is None:
            await asyncio.sleep(0.01)
            continue
        asked = question(PURPOSE, DATUM, min_position=str(known.position))
        asked["subject"] = {"type": "account", "id": person.name}
        answers = await asyncio.gather(*(node.check(**asked) for node in nodes))
        history.record(person, known, list(answers), nothing_sent=person.known is known)


async def _workers_die(settings: Settings, directory: Path, chance: random.Random) -> None:
    """One after another, killed or told to stop."""
    while True:
        with worker(settings, directory) as running:
            await until_assigned(running)
            await asyncio.sleep(chance.uniform(1, 5))
            assert running.process.poll() is None, running.output
            if chance.random() < 0.5:
                running.kill()
            else:
                assert await asyncio.to_thread(running.stop) == 0, running.output


@asynccontextmanager
async def _beside(*tasks: Any) -> AsyncIterator[None]:
    """While the block runs; whichever fails, all fails."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task) for task in tasks]
        yield
        for task in running:
            task.cancel()


async def test_no_history_holds_an_allow_after_an_acknowledged_stop(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    chance, history = random.Random(11), History()
    settings = settings_for(kafka, topic_prefix, worker_id="w1")
    await make_topics(settings)
    document = patched(DOCUMENT, {"notice_period": "P0D"})
    _publish(settings, tmp_path, document, TEXT)
    async with AsyncExitStack() as running:
        nodes = [await running.enter_async_context(serving(settings, tmp_path, CallerRole)) for _ in range(NODES)]
        kinds = [Adult] * ADULTS + [Ward] * WARDS
        people: list[Person] = [
            kind(f"p{place}", nodes[place % NODES], random.Random(place)) for place, kind in enumerate(kinds)
        ]
        readers = [_reads(people, nodes, random.Random(100 + place), history) for place in range(READERS)]
        async with _beside(_workers_die(settings, tmp_path, chance), *readers):
            for node in nodes:
                await node.ready()
            await _all_act(people)
            await _a_revision_takes_effect(settings, tmp_path, document, people)
            await _all_act(people)
            for person in people:
                await person.does("AccountClosed", identity_verified=True, method="support call")
            await asyncio.sleep(2)
    sys.stdout.write(f"\n{history.answers.total()} answers, {history.pairs} pairs: {dict(history.answers)}\n")
    assert history.wrong == []
    expected = {Reason.CONSENT, Reason.WITHDRAWN, Reason.REFUSED, Reason.REVOKED, Reason.GUARDIAN_REQUIRED}
    expected |= {Reason.RECONSENT_DUE, Reason.SUBJECT_CLOSED}
    assert expected <= history.answers.keys()
    assert history.pairs > 100


async def _all_act(people: list[Person]) -> None:
    end = time.monotonic() + ACT_S
    await asyncio.gather(*(person.acts_until(end) for person in people))


async def _a_revision_takes_effect(settings: Settings, directory: Path, document: str, people: list[Person]) -> None:
    """What it changes was allowed, and is so no more from the moment at which it takes effect."""
    assert all(person.known is not None and person.known.allowed for person in people)
    effective_at = (now_ms() + NOTICE_MS) // 1_000 * 1_000
    changed = revised(document, TEXT, 2, effective_at, {"clauses": {CLAUSE: "material"}})
    await asyncio.to_thread(_publish, settings, directory, *changed)
    assert now_ms() < effective_at, "the machine is too slow to publish in time"
    await asyncio.sleep((effective_at - now_ms()) / 1_000)
    for person in people:
        assert person.known is not None
        person.known = Known(person.known.position, allowed=False)
        person.policy_version = 2
    await asyncio.sleep(3)
