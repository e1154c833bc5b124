"""A log, its fold and a view of it in this process, for tests of HTTP alone: the real fold and decide, no Kafka."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from consentry.decision import View
from consentry.errors import Unavailable
from consentry.events import Genesis, PolicyRevised, RecordedPolicyEvent
from consentry.intake import Accepted, Caller, CallerRole
from consentry.partition import partition_of
from consentry.policy import Policies, parse_policy
from consentry.replica.subscribers import Subscriber
from consentry.settings import Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position, SubjectIds
from consentry.testing.log import LOG_ID, PARTITIONS, MemoryLog
from streams.query import create_api
from streams.replay import Scanned

SCANNED_AT_ONCE = 3
REFERENCE = Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml"
WORDING = REFERENCE.with_name("privacy-policy.txt")


@cache
def reference_policy(document: str = "") -> Policies:
    """The reference policy, published and in force."""
    document = document or REFERENCE.read_text(encoding="utf-8")
    policy = parse_policy(document)
    revised = PolicyRevised(
        event_id=UUID(int=1),
        policy=policy.id,
        occurred_at=policy.effective_at,
        version=policy.version,
        effective_at=policy.effective_at,
        document=document,
        text=WORDING.read_text(encoding="utf-8"),
        text_hash="0" * 64,
    )
    return Policies().after(RecordedPolicyEvent(Position(1, 0, 1), policy.effective_at, revised))


class InMemoryLog(MemoryLog):
    """What a node rests on: the in-memory log of `consentry.testing`, as a writer and as a replica."""

    def __init__(self, policies: Policies | None = None, *, now: int, ids: SubjectIds = SubjectIds.PLAIN) -> None:
        super().__init__(ids)
        self.policies = reference_policy() if policies is None else policies
        self.now = now
        self.not_ready_because = ""
        self.acknowledges = True
        self.waited_for = False
        self.subscribers: set[Subscriber] = set()

    def clock(self) -> int:
        return self.now

    # as a writer
    async def append_all(self, accepted: Sequence[Accepted]) -> list[tuple[Position, int]]:
        if not self.acknowledges:
            raise Unavailable("not acknowledged")
        return [(self.append(item.event, self.now).position, self.now) for item in accepted]

    # as a replica
    @property
    def ready(self) -> bool:
        return not self.not_ready_because

    @property
    def watermarks(self) -> dict[int, Watermark]:
        return {
            partition: Watermark(log_id=LOG_ID.bytes, position=self.folded_to(partition), record_hash=b"")
            for partition in range(PARTITIONS)
        }

    def fold(self) -> None:
        folded = self._next
        super().fold()
        for recorded in self.appended[folded:]:
            self.hand_on(recorded.event.subject)

    def hand_on(self, subject: str) -> None:
        row = self.row(subject)
        assert row is not None
        for subscriber in self.subscribers:
            subscriber.hand_on(row)

    async def changes(self) -> AsyncGenerator[SubjectState, None]:
        subscriber = Subscriber()
        self.subscribers.add(subscriber)
        try:
            while (state := await subscriber.next()) is not None:
                yield state
        finally:
            self.subscribers.discard(subscriber)

    def subjects_after(self, subject: str, limit: int) -> Sequence[str]:
        return [name for name in self.subjects() if name > subject][:limit]

    def staleness_ms(self, partition: int, now: int | None = None) -> int | None:  # noqa: ARG002
        return self.age_ms

    def view(self, subject: str, now: int | None = None) -> View:  # noqa: ARG002
        return super().view(subject)

    async def wait_for(self, position: Position, timeout_ms: int) -> bool:  # noqa: ARG002
        self.waited_for = True
        return self.folded_to(position.partition) >= position

    # as a reader of the log
    async def scan(self, identity: Genesis, subject: str, offset_next: int = 0) -> AsyncGenerator[Scanned, None]:
        """Part by part of SCANNED_AT_ONCE records; a partition begins with its genesis."""
        partition = partition_of(subject, identity.partitions)
        records = [each for each in self.appended if each.position.partition == partition]
        end = len(records) + 1
        while offset_next < end:
            part = records[max(0, offset_next - 1) :][:SCANNED_AT_ONCE]
            offset_next = part[-1].position.offset + 1 if part else end
            about = tuple(each for each in part if each.event.subject == subject)
            yield Scanned(entries=about, offset_next=offset_next, offset_end=end)


class Tokens:
    """Who a token belongs to, without a file."""

    def __init__(self, callers: dict[str, Caller]) -> None:
        self._callers = callers

    def caller_of(self, token: str | None) -> Caller | None:
        return None if token is None else self._callers.get(token)


NOW = 1_790_000_000_000
EVERY_ROLE = Caller("all", frozenset(CallerRole))
TOKENS = {"all": EVERY_ROLE} | {role: Caller(f"a-{role}", frozenset({role})) for role in CallerRole}


class Node:
    """The node's API over an in-memory log, and what a test asks of it."""

    def __init__(
        self, *, settings: Settings | None = None, policies: Policies | None = None, token: str = "all"
    ) -> None:
        self.settings = settings or Settings()
        ids = SubjectIds.HASHED if self.settings.subject_pepper else SubjectIds.PLAIN
        self.log = InMemoryLog(policies, now=NOW, ids=ids)
        self.token = token
        self.api = create_api(self.settings, self.log, self.log, Tokens(TOKENS), log=self.log, clock=self.log.clock)

    async def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **how.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.api), base_url="http://node") as client:
            return await client.request(method, path, headers=headers, **how)

    async def ask(self, body: object, **how: Any) -> httpx.Response:
        return await self.send("POST", "/access/v1/evaluation", json=body, **how)

    async def record(self, body: object, **how: Any) -> httpx.Response:
        return await self.send("POST", "/v1/events", json=body, **how)


def question(
    purpose: str = "recommendation.personalised", data: object = "behaviour", *, action: str = "use", **context: Any
) -> dict[str, Any]:
    return {
        "subject": {"type": "account", "id": "u-1"},
        "action": {"name": action},
        "resource": {"type": "purpose", "id": purpose},
        "context": {"data": data, **context},
    }


def act(kind: str, *, purpose: str = "recommendation.personalised", at: int = NOW, **fields: Any) -> dict[str, Any]:
    """What the subject of `question` did."""
    return {
        "type": kind,
        "subject": "account:u-1",
        "occurred_at": at,
        "actor": {"role": "subject", "id": "account:u-1"},
        "channel": "app",
        "purpose": purpose,
        **fields,
    }


def grant(**fields: Any) -> dict[str, Any]:
    return act("ConsentGiven", **{"policy_version": 1, "expression": "separate", **fields})


def pointers_of(problem: httpx.Response) -> list[str]:
    """The fields that a problem names."""
    assert problem.headers["content-type"] == "application/problem+json"
    details: Mapping[str, Any] = problem.json()
    assert details["status"] == problem.status_code
    return [error["pointer"] for error in details.get("errors", [])]
