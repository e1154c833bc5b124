"""AsyncConsentClient: asks a query node, and publishes to it, over HTTP. Any doubt is a DENY.

    async with AsyncConsentClient("http://127.0.0.1:8480", token=token) as consentry:
        answer = await consentry.check(request)

`answer.allow` is true only where a node said so, in time, in words that are known, of this very question.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2

from consentry.answers import Answer, Appended, Doubt, denied_for
from consentry.authzen import EVALUATION_PATH, EVALUATIONS_PATH
from consentry.client.reading import Doubtful, read_answer, read_answers
from consentry.client.sending import Reply, Sender
from consentry.client.state import KnownSubject, read_state
from consentry.client.written import (
    UNKNOWN_OUTCOME,
    body_of,
    details_of,
    encode_body,
    question_of,
    questions_of,
    read_appended,
    refusal_of,
)
from consentry.decision import Prompt, Request
from consentry.errors import Unavailable
from consentry.events import AnySubjectEvent
from consentry.settings import Settings
from consentry.terms import Position

log = logging.getLogger(__name__)

CHECK_DEADLINE_MS = 3_000
"""a node itself waits up to 2 s for a min_position"""
PUBLISH_DEADLINE_MS = 15_000
"""a node itself waits up to 10 s for the log to acknowledge"""
ATTEMPTS = 3
QUESTIONS_AT_A_TIME = 100
"""of check_many, in one request"""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def address_of(node: Settings | str) -> str:
    """Where the node is: as the commands that ask one find it."""
    if isinstance(node, str):
        return node
    return node.node_url or f"http://{node.http_host}:{node.http_port}"


class AsyncConsentClient:
    """For one event loop; keeps its connections open. Deadlines, in ms, are over all of a call: connecting, retries,
    waiting in between. Times are ms since the epoch, UTC.

    `check`, `check_many` and `prompt` never raise on what a network, a node or a proxy does: an answer that is late,
    refused, unreadable or another question's is a DENY with a `doubt`, and nothing can make it anything else.
    """

    def __init__(
        self,
        node: Settings | str,
        *,
        token: str = "",
        deadline_ms: int = CHECK_DEADLINE_MS,
        publish_deadline_ms: int = PUBLISH_DEADLINE_MS,
        attempts: int = ATTEMPTS,
        tls: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        jitter: Callable[[], float] = random.random,
        new_id: Callable[[], UUID] = uuid4,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """`node`: its address, or settings, whose node_url and bearer_token are taken.

        `tls` trusts a certificate authority of one's own; `transport` goes another way, as through a proxy; `jitter`
        gives numbers from 0 to 1. Raises ConsentryError on an address that is none.
        """
        if isinstance(node, Settings):
            token = token or node.bearer_token
        self._deadline_ms = deadline_ms
        self._publish_deadline_ms = publish_deadline_ms
        self._clock = clock
        self._sender = Sender(
            address_of(node), token, attempts=attempts, jitter=jitter, new_id=new_id, tls=tls, transport=transport
        )

    async def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer:
        """May this be done? The node's answer, or a DENY that says what is doubtful about it."""
        try:
            reply = await self._ask(EVALUATION_PATH, question_of(request), deadline_ms)
            return read_answer(reply.body, request)
        except Doubtful as fault:
            return _doubted(fault.doubt, fault.what)
        except Exception as fault:  # whatever broke here, nobody has said yes
            log.exception("check.broke")
            return denied_for(Doubt.BROKEN, f"{type(fault).__name__}: {fault}")

    async def check_many(self, requests: Sequence[Request], *, deadline_ms: int | None = None) -> tuple[Answer, ...]:
        """An answer to each, in their order, under one deadline; what it does not reach is a DENY."""
        answers: list[Answer] = []
        until = self._clock_s() + (self._deadline_ms if deadline_ms is None else deadline_ms) / 1000
        for first in range(0, len(requests), QUESTIONS_AT_A_TIME):
            some = tuple(requests[first : first + QUESTIONS_AT_A_TIME])
            answers += await self._some(some, int((until - self._clock_s()) * 1000))
        return tuple(answers)

    async def _some(self, requests: tuple[Request, ...], left_ms: int) -> tuple[Answer, ...]:
        try:
            reply = await self._ask(EVALUATIONS_PATH, questions_of(requests), left_ms)
            return read_answers(reply.body, requests)
        except Doubtful as fault:
            return (_doubted(fault.doubt, fault.what),) * len(requests)
        except Exception as fault:  # whatever broke here, nobody has said yes
            log.exception("check.broke")
            return (denied_for(Doubt.BROKEN, f"{type(fault).__name__}: {fault}"),) * len(requests)

    async def prompt(self, request: Request, *, deadline_ms: int | None = None) -> Prompt:
        """May the person be asked for this now? In doubt, no. `request` may say `scene` and `user_initiated`."""
        return (await self.check(request, deadline_ms=deadline_ms)).prompt

    async def state(self, subject: str, *, deadline_ms: int | None = None) -> KnownSubject:
        """How a subject stands, for people and screens. Raises ConsentryError, Unavailable."""
        try:
            reply = await self._sender.send(
                "GET",
                f"/v1/subjects/{quote(subject, safe=':')}",
                deadline_ms=self._deadline_ms if deadline_ms is None else deadline_ms,
            )
            if reply.status == 200:
                return read_state(reply.body)
        except Doubtful as fault:
            raise Unavailable(fault.what, where=fault.where, remedy="ask again") from fault
        if reply.status < 500:
            raise refusal_of(reply.status, reply.body)
        raise Unavailable(f"the node answered {reply.status}", remedy="ask again")

    async def publish(
        self,
        event: AnySubjectEvent,
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,
    ) -> Appended:
        """Record what happened; done once the log has it, or with `wait_ms` once it took effect.

        It is the same event however often it is sent: by its event_id, or where `idempotency_key` is given by that
        alone; all else that it says, its occurred_at too, has to be the same. `min_position`: the node judges by rows
        that have seen it. Raises InvalidEvent for what is refused, ConsentryError where this caller is, Unavailable
        where the outcome is unknown: then publish it again.
        """
        body = body_of(event, sent_at=self._clock(), named=idempotency_key is None)
        sent_ids = [str(event.event_id) if idempotency_key is None else None]
        reply = await self._write(body, wait_ms, min_position, idempotency_key, deadline_ms)
        return read_appended(reply.body, sent_ids, is_list=False)[0]

    async def publish_all(
        self,
        events: Sequence[AnySubjectEvent],
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,
    ) -> tuple[Appended, ...]:
        """A list that is taken whole or not at all, in its order. Otherwise as `publish`."""
        now, named = self._clock(), idempotency_key is None
        body = [body_of(event, sent_at=now, named=named) for event in events]
        sent_ids = [str(event.event_id) if named else None for event in events]
        reply = await self._write(body, wait_ms, min_position, idempotency_key, deadline_ms)
        return read_appended(reply.body, sent_ids, is_list=True)

    async def _ask(self, path: str, content: bytes, deadline_ms: int | None) -> Reply:
        """A reply with a decision. Raises Doubtful."""
        reply = await self._sender.send(
            "POST", path, content=content, deadline_ms=self._deadline_ms if deadline_ms is None else deadline_ms
        )
        if reply.status == 200:
            return reply
        said = details_of(reply.body).detail or f"the node answered {reply.status}"
        raise Doubtful(Doubt.REFUSED if reply.status < 500 else Doubt.UNAVAILABLE, f"{reply.status}: {said}")

    async def _write(
        self,
        body: object,
        wait_ms: int,
        min_position: Position | None,
        key: str | None,
        deadline_ms: int | None,
    ) -> Reply:
        params = {"wait": str(wait_ms)} if wait_ms else {}
        if min_position is not None:
            params["min_position"] = str(min_position)
        try:
            reply = await self._sender.send(
                "POST",
                "/v1/events",
                content=encode_body(body),
                params=params,
                headers={} if key is None else {"idempotency-key": key},
                deadline_ms=self._publish_deadline_ms if deadline_ms is None else deadline_ms,
            )
        except Doubtful as fault:
            raise Unavailable(fault.what, where=fault.where, remedy=UNKNOWN_OUTCOME) from fault
        if reply.status == 201:
            return reply
        if 400 <= reply.status < 500 and reply.status not in (408, 429):
            raise refusal_of(reply.status, reply.body)
        said = details_of(reply.body).detail
        raise Unavailable(said or f"the node answered {reply.status}", remedy=UNKNOWN_OUTCOME)

    @staticmethod
    def _clock_s() -> float:
        return time.monotonic()

    async def close(self) -> None:
        """Close its connections."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _doubted(doubt: Doubt, detail: str) -> Answer:
    log.warning("check.doubted", extra={"doubt": doubt})
    return denied_for(doubt, detail)
