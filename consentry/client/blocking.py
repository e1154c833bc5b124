"""ConsentClient: AsyncConsentClient for code without an event loop, with the same promises.

It runs the other one on a loop in a thread of its own, begun with the first call. So a deadline holds whatever stands
still: a name that does not resolve, a handshake, a reply that trickles; threads share its connections, and a process
that was forked begins with new ones.
"""

import asyncio
import contextlib
import os
import random
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID, uuid4

import httpx2

from consentry.answers import Answer, Appended, Doubt, denied_for
from consentry.client.asynchronous import (
    ATTEMPTS,
    CHECK_DEADLINE_MS,
    PUBLISH_DEADLINE_MS,
    AsyncConsentClient,
    address_of,
    wall_clock_ms,
)
from consentry.client.sending import checked_address
from consentry.client.state import KnownSubject
from consentry.client.written import UNKNOWN_OUTCOME
from consentry.decision import Prompt, Request
from consentry.errors import ConsentryError, Unavailable
from consentry.events import AnySubjectEvent
from consentry.settings import Settings
from consentry.terms import Position

T = TypeVar("T")
GRACE_S = 0.25
"""past its deadline, a call whose loop does not even say that time is over is given up"""
CLOSING_S = 2.0


class ConsentClient:
    """For any thread. Its arguments, methods, deadlines and doubts are those of AsyncConsentClient."""

    blocks: ClassVar[bool] = True
    """a check waits for the network: guards of coroutines call it in a thread"""

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
        """As AsyncConsentClient. Raises ConsentryError on an address that is none."""

        def client() -> AsyncConsentClient:
            return AsyncConsentClient(
                node,
                token=token,
                deadline_ms=deadline_ms,
                publish_deadline_ms=publish_deadline_ms,
                attempts=attempts,
                tls=tls,
                transport=transport,
                jitter=jitter,
                new_id=new_id,
                clock=clock,
            )

        checked_address(address_of(node))  # a wrong one is told here, not at the first call
        self._deadline_ms = deadline_ms
        self._publish_deadline_ms = publish_deadline_ms
        self._new_client = client
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        _LIVING.add(self)

    def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer:
        """May this be done? The node's answer, or a DENY that says what is doubtful about it."""
        limit_ms = self._deadline_ms if deadline_ms is None else deadline_ms
        try:
            return self._run(lambda client: client.check(request, deadline_ms=limit_ms), limit_ms)
        except TimeoutError:
            return denied_for(Doubt.TIMEOUT, f"no answer within {limit_ms} ms")

    def check_many(self, requests: Sequence[Request], *, deadline_ms: int | None = None) -> tuple[Answer, ...]:
        """An answer to each, in their order, under one deadline; what it does not reach is a DENY."""
        limit_ms = self._deadline_ms if deadline_ms is None else deadline_ms
        try:
            return self._run(lambda client: client.check_many(requests, deadline_ms=limit_ms), limit_ms)
        except TimeoutError:
            return (denied_for(Doubt.TIMEOUT, f"no answer within {limit_ms} ms"),) * len(requests)

    def prompt(self, request: Request, *, deadline_ms: int | None = None) -> Prompt:
        """May the person be asked for this now? In doubt, no."""
        return self.check(request, deadline_ms=deadline_ms).prompt

    def state(self, subject: str, *, deadline_ms: int | None = None) -> KnownSubject:
        """How a subject stands, for people and screens. Raises ConsentryError, Unavailable."""
        limit_ms = self._deadline_ms if deadline_ms is None else deadline_ms
        try:
            return self._run(lambda client: client.state(subject, deadline_ms=limit_ms), limit_ms)
        except TimeoutError as fault:
            raise Unavailable(f"no answer within {limit_ms} ms", remedy="ask again") from fault

    def publish(
        self,
        event: AnySubjectEvent,
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,
    ) -> Appended:
        """Record what happened; done once the log has it. Raises InvalidEvent, ConsentryError, Unavailable."""
        limit_ms = self._publish_deadline_ms if deadline_ms is None else deadline_ms
        return self._write(
            lambda client: client.publish(
                event,
                wait_ms=wait_ms,
                min_position=min_position,
                idempotency_key=idempotency_key,
                deadline_ms=limit_ms,
            ),
            limit_ms,
        )

    def publish_all(
        self,
        events: Sequence[AnySubjectEvent],
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,
    ) -> tuple[Appended, ...]:
        """A list that is taken whole or not at all, in its order. Otherwise as `publish`."""
        limit_ms = self._publish_deadline_ms if deadline_ms is None else deadline_ms
        return self._write(
            lambda client: client.publish_all(
                events,
                wait_ms=wait_ms,
                min_position=min_position,
                idempotency_key=idempotency_key,
                deadline_ms=limit_ms,
            ),
            limit_ms,
        )

    def _write(self, call: Callable[[AsyncConsentClient], Coroutine[Any, Any, T]], limit_ms: int) -> T:
        try:
            return self._run(call, limit_ms)
        except TimeoutError as fault:
            raise Unavailable(f"no answer within {limit_ms} ms", remedy=UNKNOWN_OUTCOME) from fault

    def _run(self, call: Callable[[AsyncConsentClient], Coroutine[Any, Any, T]], limit_ms: int) -> T:
        """What the call comes to. Raises TimeoutError where not even its loop answers in time."""
        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread(self._new_client())
                weakref.finalize(self, self._thread.close)  # at the end of the process, too
            thread = self._thread
        return thread.run(call, limit_ms / 1000 + GRACE_S)

    def close(self) -> None:
        """Close its connections and end its thread; the next call would begin anew."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin_anew(self) -> None:
        """In a forked process: the thread is the parent's, and so are the connections."""
        if self._thread is not None:
            _OF_THE_PARENT.append(self._thread)
        self._lock, self._thread = threading.Lock(), None


class _LoopThread:
    """An event loop in a daemon thread, with the client that lives on it."""

    def __init__(self, client: AsyncConsentClient) -> None:
        self._client = client
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="consentry-client", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[AsyncConsentClient], Coroutine[Any, Any, T]], limit_s: float) -> T:
        if threading.current_thread() is self._thread:
            raise ConsentryError("a blocking call on the client's own loop would never end")
        future = asyncio.run_coroutine_threadsafe(call(self._client), self._loop)
        try:
            return future.result(limit_s)
        except BaseException:
            future.cancel()  # nobody waits for it any more
            raise

    def close(self) -> None:
        if self._loop.is_closed() or os.getpid() != self._process:
            return
        with contextlib.suppress(TimeoutError):  # a polite end is not waited for longer
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(CLOSING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_S)
        if not self._thread.is_alive():
            self._loop.close()


_LIVING: "weakref.WeakSet[ConsentClient]" = weakref.WeakSet()
_OF_THE_PARENT: list[_LoopThread] = []
"""kept, so that nothing of the parent's is closed by a child's garbage collection"""


def _after_fork() -> None:
    for client in list(_LIVING):
        client._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
