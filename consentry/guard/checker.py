"""Whom a guard asks, and what it believes: a checker that raises, or gives no decision, has not said yes."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast, runtime_checkable

from consentry.answers import Doubt, denied_for
from consentry.decision import Decision, Request
from consentry.errors import ConsentryError
from consentry.policy import ALLOWING

log = logging.getLogger(__name__)


@runtime_checkable
class Checker(Protocol):
    """ConsentReplica, ConsentClient, InMemoryConsentry, or what else answers."""

    def check(self, request: Request, /) -> Decision: ...


@runtime_checkable
class AsyncChecker(Protocol):
    """AsyncConsentClient, or what else answers to who awaits it."""

    def check(self, request: Request, /) -> Awaitable[Decision]: ...


AnyChecker = Checker | AsyncChecker
Asked = AnyChecker | Callable[[], AnyChecker]
"""a checker; or what gives one at the moment of the question, where it is made after the code is loaded"""


class ConsentDenied(ConsentryError):
    """What was to be done may not be done. `decision` says why; who was asked about stands in `request` alone."""

    def __init__(self, request: Request, decision: Decision) -> None:
        self.request = request
        self.decision = decision
        data = ", ".join(request.data) or "nothing"
        clause = f", clause {decision.clause}" if decision.clause else ""
        super().__init__(
            f"{decision.reason}{clause}: may not {request.operation} {data} for {request.purpose}",
        )


def ask(checker: Asked, request: Request) -> Decision:
    """The answer, or a DENY for whatever is none."""
    try:
        return _believed(_checker_of(checker).check(request))
    except Exception as fault:  # whatever broke, nobody has said yes
        return _broken(fault)


async def ask_awaiting(checker: Asked, request: Request) -> Decision:
    """The same in a coroutine: what awaits is awaited, and what waits for a network does so in a thread."""
    try:
        found = _checker_of(checker)
        if getattr(found, "blocks", False):
            answer: Any = await asyncio.to_thread(found.check, request)
        else:
            answer = found.check(request)
        if inspect.isawaitable(answer):
            answer = await answer
        return _believed(answer)
    except Exception as fault:  # whatever broke, nobody has said yes
        return _broken(fault)


def _checker_of(checker: Asked) -> AnyChecker:
    # not isinstance: for a protocol that takes longer than a replica's whole answer
    return cast("AnyChecker", checker) if hasattr(checker, "check") else checker()


def _believed(answer: object) -> Decision:
    if inspect.iscoroutine(answer):
        answer.close()
        return denied_for(Doubt.BROKEN, "the checker is to be awaited, and this code cannot")
    if not isinstance(answer, Decision) or answer.allow is not (answer.reason in ALLOWING):
        return denied_for(Doubt.BROKEN, "the checker gave no decision")
    return answer


def _broken(fault: Exception) -> Decision:
    log.error("check.broke", exc_info=fault)
    return denied_for(Doubt.BROKEN, f"{type(fault).__name__}: {fault}")
