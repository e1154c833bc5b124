"""The two doors that any service uses, over HTTP: what happened, and may I?"""

import time
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from consentry.authzen import EVALUATION_PATH, EvaluationAnswer
from consentry.errors import Unavailable
from consentry.settings import Settings
from consentry.terms import Effect, Reason
from streams.demo.script import Question
from streams.query.policies import PolicyRevisions

Answer = TypeVar("Answer")
TIMEOUT_S = 15.0
PASSING = (Reason.NOT_YET_VISIBLE, Reason.STALE)
"""reasons that are no word on the person, and pass"""


class Written(msgspec.Struct, frozen=True):
    """The answer to an event."""

    event_id: str
    position: str
    effect: Effect | None = None


class Problem(msgspec.Struct, frozen=True):
    """What a refusal says of itself."""

    code: str = ""


class Doors:
    """A query node, asked as the app would; closed by leaving its `with` block. All raise Unavailable."""

    def __init__(self, settings: Settings) -> None:
        self._wait_ms = settings.visible_timeout_ms
        self._http = httpx.Client(
            base_url=settings.node_url,
            timeout=TIMEOUT_S,
            headers={"authorization": f"Bearer {settings.bearer_token}", "content-type": "application/json"},
        )

    def happened(self, body: bytes, min_position: str | None) -> tuple[Written, float]:
        """Where the event stands, once it has taken effect; and how many ms that took.

        Whether a guardian may do it hangs on the row: one that has seen `min_position` is what judges it.
        """
        seen = f"&min_position={min_position}" if min_position else ""
        began = time.perf_counter()
        while True:
            answer = self._asked("POST", f"/v1/events?wait={self._wait_ms}{seen}", body)
            late = time.perf_counter() - began > TIMEOUT_S
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or _code(answer) not in PASSING or late:
                return _read(answer, Written), (time.perf_counter() - began) * 1000

    def may(self, question: Question, min_position: str | None) -> EvaluationAnswer:
        """The answer, by a state that has seen `min_position`. On a machine that is too busy it is asked for again."""
        body = msgspec.json.encode(question.as_evaluation(min_position))
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = _read(self._asked("POST", EVALUATION_PATH, body), EvaluationAnswer)
            if answer.context.reason not in PASSING or time.monotonic() > deadline:
                return answer

    def version_in_force(self) -> int | None:
        """Of the policy, as the node knows it."""
        revisions = _read(self._asked("GET", "/v1/policies"), PolicyRevisions).revisions
        return next((each.version for each in revisions if each.in_force), None)

    def _asked(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        try:
            return self._http.request(method, path, content=body)
        except httpx.TransportError as fault:
            raise Unavailable(f"no answer: {fault}", where=path) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


def _code(refusal: httpx.Response) -> str:
    return msgspec.json.decode(refusal.content, type=Problem).code


def _read(answer: httpx.Response, kind: type[Answer]) -> Answer:
    if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
        raise Unavailable(f"HTTP {answer.status_code}: {answer.text}", where=answer.url.path)
    return msgspec.json.decode(answer.content, type=kind)
