"""From a question to its answer: the view it rests on, how long to wait for it, and `decide`."""

import asyncio

from consentry.authzen import EvaluationAnswer, answer_of
from consentry.decision import Request, decide
from consentry.errors import Problem
from consentry.partition import partition_of
from consentry.settings import Settings
from consentry.terms import Position
from streams.query.metrics import Metrics
from streams.query.problems import unreadable
from streams.query.question import Received, asked_by
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
        asked = asked_by(received, self._replica.policies.in_force(self._clock()), self._settings)
        request = asked.request
        if request.min_position is not None:
            await self._wait_for(request.min_position, request, wait_until_s)
            # a revision may have come meanwhile: words and decision go by the same policy
            asked = asked_by(received, self._replica.policies.in_force(self._clock()), self._settings)
            request = asked.request
        now = self._clock()
        decision = decide(self._replica.view(request.subject, now), self._replica.policies, request, now)
        self._metrics.decided(decision)
        return answer_of(decision, asked.warnings)

    def patience_s(self) -> float:
        """Until when a request that arrives now may be kept waiting, by the loop's clock."""
        return asyncio.get_running_loop().time() + self._settings.visible_timeout_ms / 1000

    async def _wait_for(self, position: Position, request: Request, wait_until_s: float | None) -> None:
        """Until it is visible or the time is over: `decide` sees which."""
        identity = self._replica.identity
        if position.epoch != identity.epoch:
            return
        partition = partition_of(request.subject, identity.partitions)
        if position.partition != partition:
            raise unreadable(
                Problem(
                    f"{position} is not in partition {partition}, where this subject's records are",
                    where="/context/min_position",
                    remedy="send the position that this subject's event was answered with",
                )
            )
        until_s = self.patience_s() if wait_until_s is None else wait_until_s
        left_ms = int((until_s - asyncio.get_running_loop().time()) * 1000)
        await self._replica.wait_for(position, max(0, left_ms))
