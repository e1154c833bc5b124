"""An answer as the client believes it: the node's decision whole, or a doubt. No I/O."""

import re

import msgspec

from consentry.answers import Answer, Doubt, denied_for
from consentry.authzen import AnswerContext, EvaluationAnswer, Failure
from consentry.decision import Duty, Request
from consentry.errors import ConsentryError
from consentry.policy import ALLOWING
from consentry.terms import Position


class Doubtful(ConsentryError):
    """There is no answer to believe; `doubt` says of which kind."""

    def __init__(self, doubt: Doubt, detail: str) -> None:
        self.doubt = doubt
        super().__init__(detail, where=doubt)


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    evaluations: tuple[msgspec.Raw, ...]


class _UndecidedContext(msgspec.Struct, frozen=True, kw_only=True):
    error: Failure | None = None


class _Undecided(msgspec.Struct, frozen=True, kw_only=True):
    decision: bool
    context: _UndecidedContext = _UndecidedContext()


_answer = msgspec.json.Decoder(EvaluationAnswer)
_batch = msgspec.json.Decoder(_Batch)
_undecided = msgspec.json.Decoder(_Undecided)
_COMPLETE_TO_NOTHING = re.compile(r"e(\d{1,9})\.p(\d{1,9})\.o-1", re.ASCII)


def read_answer(body: bytes | msgspec.Raw, request: Request) -> Answer:
    """The node's answer to `request`. Raises Doubtful where it is no answer, or not one to this."""
    try:
        answer = _answer_of(_answer.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConsentryError, ValueError) as fault:
        raise Doubtful(Doubt.UNREADABLE, f"the answer cannot be read: {fault}") from fault
    _must_fit(answer, request)
    return answer


def read_answers(body: bytes, requests: tuple[Request, ...]) -> tuple[Answer, ...]:
    """An answer for each of `requests`, in their order. Raises Doubtful where the whole cannot be read."""
    try:
        found = _batch.decode(body).evaluations
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Doubtful(Doubt.UNREADABLE, f"the answers cannot be read: {fault}") from fault
    if len(found) != len(requests):
        raise Doubtful(Doubt.MISMATCHED, f"{len(found)} answers to {len(requests)} questions")
    return tuple(_one_of(raw, request) for raw, request in zip(found, requests, strict=True))


def _one_of(raw: msgspec.Raw, request: Request) -> Answer:
    try:
        undecided = _undecided.decode(raw)
        if undecided.context.error is not None:
            raise Doubtful(Doubt.REFUSED, undecided.context.error.message)
        return read_answer(raw, request)
    except msgspec.DecodeError as fault:
        return denied_for(Doubt.UNREADABLE, f"the answer cannot be read: {fault}")
    except Doubtful as fault:
        return denied_for(fault.doubt, fault.what)


def _answer_of(wire: EvaluationAnswer) -> Answer:
    """Raises ValueError on a word, ConsentryError on a position that is none."""
    said: AnswerContext = wire.context
    tightened = said.tightened_position
    return Answer(
        allow=wire.decision,
        reason=said.reason,
        clause=said.clause,
        basis=said.basis,
        status=said.status,
        evidence=said.evidence,
        policy_version=said.policy_version,
        position=_position_of(said.position),
        tightened_position=None if tightened is None else Position.parse(tightened),
        staleness_ms=said.staleness_ms,
        engine_version=said.engine_version,
        expires_at=said.expires_at,
        obligations=tuple(Duty(word) for word in said.obligations),
        prompt=said.prompt,
        results=said.results,
        warnings=said.warnings,
    )


def _position_of(text: str) -> Position:
    """A node that has seen nothing of a partition says so: e1.p3.o-1."""
    nothing = _COMPLETE_TO_NOTHING.fullmatch(text)
    return Position.parse(text) if nothing is None else Position(int(nothing[1]), int(nothing[2]), -1)


def _must_fit(answer: Answer, request: Request) -> None:
    """An ALLOW is believed only if all of it says so, and of what was asked. Raises Doubtful."""
    if answer.allow is not (answer.reason in ALLOWING):
        raise Doubtful(Doubt.UNREADABLE, f"the decision and its reason, {answer.reason}, contradict each other")
    if not answer.allow:
        return
    if tuple(result.data for result in answer.results) != request.data:
        raise Doubtful(Doubt.MISMATCHED, "the answer is about other data than the question")
    if not all(result.allow and result.reason in ALLOWING for result in answer.results):
        raise Doubtful(Doubt.UNREADABLE, "the answer allows, and one of its parts does not")
    wanted, seen = request.min_position, answer.position
    if wanted is not None and (wanted[:2] != seen[:2] or seen < wanted):
        raise Doubtful(Doubt.MISMATCHED, f"the answer has seen {seen}, the question asks for {wanted}")
