"""From a question to its answer: the view it rests on, how long to wait for it, and `decide`."""

import asyncio
from collections.abc import Sequence

import msgspec

from consentry.authzen import EvaluationAnswer, SearchContext, answer_of
from consentry.decision import Decision, decide
from consentry.errors import Problem
from consentry.partition import partition_of
from consentry.policy import Policy
from consentry.settings import Settings
from consentry.terms import Operation, Position
from streams.query.metrics import Metrics
from streams.query.problems import not_yet_visible, unreadable
from streams.query.question import Asked, Received, asked_by
from streams.query.seams import Clock, Replica


class Answering:
    """Answers checks from what this node holds."""

    def __init__(self, settings: Settings, replica: Replica, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._replica = replica
        self._metrics = metrics
        self._clock = clock

    async def answer(self, received: Received, wait_until_s: float | None = None) -> EvaluationAnswer:
        """The answer, once `min_position` is visible or the time is over.

        `wait_until_s` is by the loop's clock; None: visible_timeout_ms from now. Raises Refusal (400).
        """
        asked = self._asked(received)
        for request in (asked.request,) if asked.meant is None else (asked.request, asked.meant):
            if request.min_position is not None:
                await self._visible(request.min_position, request.subject, wait_until_s)
                # a revision may have come meanwhile: words and decision go by the same policy
                asked = self._asked(received)
        decision = self._decided(asked, self._clock())
        self._metrics.decided(decision)
        return answer_of(decision, asked.warnings)

    def _asked(self, received: Received) -> Asked:
        return asked_by(received, self._replica.policies.in_force(self._clock()), self._settings)

    def _decided(self, asked: Asked, now: int) -> Decision:
        """A misspelt field gains nothing: where what is meant would be denied, so is what was written."""
        view = self._replica.view(asked.request.subject, now)
        decision = decide(view, self._replica.policies, asked.request, now)
        if asked.meant is not None and decision.allow:
            return decide(view, self._replica.policies, asked.meant, now)
        return decision

    async def search(self, received: Received, *, of_one_subject: bool = True) -> "Search":
        """What a search goes by, once `min_position` is visible.

        Raises Refusal: 400 as for a check, 503 where the position is not visible in time.
        """
        asked = self._asked(received)
        for request in (asked.request,) if asked.meant is None else (asked.request, asked.meant):
            position = request.min_position
            if position is not None:
                subject = request.subject if of_one_subject else None
                if not await self._visible(position, subject, None):
                    raise not_yet_visible(position, "nothing was searched: repeat it")
                asked = self._asked(received)
        return Search(asked, self._replica, self._clock())

    def subjects_after(self, subject: str, limit: int) -> Sequence[str]:
        return self._replica.subjects_after(subject, limit)

    def patience_s(self) -> float:
        """Until when a request that arrives now may be kept waiting, by the loop's clock."""
        return asyncio.get_running_loop().time() + self._settings.visible_timeout_ms / 1000

    async def _visible(self, position: Position, subject: str | None, wait_until_s: float | None) -> bool:
        """Waits until it is, or the time is over. Raises Refusal (400) where the subject's records are elsewhere."""
        identity = self._replica.identity
        if position.epoch != identity.epoch:
            return False
        if subject is not None and position.partition != (partition := partition_of(subject, identity.partitions)):
            raise unreadable(
                Problem(
                    f"{position} is not in partition {partition}, where this subject's records are",
                    where="/context/min_position",
                    remedy="send the position that this subject's event was answered with",
                )
            )
        until_s = self.patience_s() if wait_until_s is None else wait_until_s
        left_ms = int((until_s - asyncio.get_running_loop().time()) * 1000)
        return await self._replica.wait_for(position, max(0, left_ms))


class Search:
    """A question with one of its parts open, as of one moment and one set of policies."""

    def __init__(self, asked: Asked, replica: Replica, now: int) -> None:
        self._replica = replica
        self._policies = replica.policies
        self._now = now
        self._warnings = asked.warnings
        both = (asked.request,) if asked.meant is None else (asked.request, asked.meant)
        # the position is visible: from here on it says nothing of other subjects
        self._requests = tuple(msgspec.structs.replace(request, min_position=None) for request in both)
        self.policy: Policy | None = self._policies.in_force(now)
        self.subject_type = asked.subject_type

    @property
    def context(self) -> SearchContext:
        version = None if self.policy is None else self.policy.version
        return SearchContext(policy_version=version, warnings=self._warnings)

    def allows_subject(self, subject: str) -> bool:
        return self._allows(subject=subject)

    def allows_purpose(self, purpose: str) -> bool:
        return self._allows(purpose=purpose)

    def allows_operation(self, operation: Operation) -> bool:
        return self._allows(operation=operation)

    def _allows(self, **part: object) -> bool:
        """As a check would be answered; a misspelt field gains nothing here either."""
        for request in self._requests:
            question = msgspec.structs.replace(request, **part)
            view = self._replica.view(question.subject, self._now)
            if not decide(view, self._policies, question, self._now).allow:
                return False
        return True
