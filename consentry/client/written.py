"""What the client sends: questions and events as the node reads them; and what it reads back of a write. No I/O."""

from collections.abc import Sequence
from typing import Any

import msgspec

from consentry.answers import Appended
from consentry.authzen import Action, CheckContext, EvaluationRequest, EvaluationsRequest, Question, Resource, Subject
from consentry.decision import Request
from consentry.errors import ConsentryError, InvalidEvent, Problem, Unavailable
from consentry.events import AnySubjectEvent
from consentry.terms import Effect, Position

_encode = msgspec.json.Encoder().encode
UNKNOWN_OUTCOME = "publish the same event again, with the same event_id or Idempotency-Key: nothing happens twice"


class FieldFault(msgspec.Struct, frozen=True, kw_only=True):
    pointer: str = ""
    detail: str = ""
    remedy: str = ""


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details, as far as a caller acts on them."""

    detail: str = ""
    code: str = ""
    errors: tuple[FieldFault, ...] = ()


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str
    position: str
    effect: Effect | None = None


class _WrittenList(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[_Written, ...]


_details = msgspec.json.Decoder(Details)
_one = msgspec.json.Decoder(_Written)
_list = msgspec.json.Decoder(_WrittenList)


def question_of(request: Request) -> bytes:
    subject, action, resource, context = _parts_of(request)
    return _encode(EvaluationRequest(subject=subject, action=action, resource=resource, context=context))


def questions_of(requests: Sequence[Request]) -> bytes:
    parts = [_parts_of(request) for request in requests]
    return _encode(
        EvaluationsRequest(
            evaluations=tuple(
                Question(subject=subject, action=action, resource=resource, context=context)
                for subject, action, resource, context in parts
            )
        )
    )


def _parts_of(request: Request) -> tuple[Subject, Action, Resource, CheckContext]:
    kind, _, name = request.subject.partition(":")
    return (
        Subject(type=kind, id=name),
        Action(name=request.operation),
        Resource(type="purpose", id=request.purpose),
        CheckContext(
            data=request.data,
            recipient=request.recipient,
            form=request.form,
            active=request.active,
            device=request.device,
            transfer_mechanism=request.transfer_mechanism,
            joined_with_identity=request.joined_with_identity,
            min_position=None if request.min_position is None else str(request.min_position),
            scene=request.scene,
            user_initiated=request.user_initiated,
        ),
    )


def body_of(event: AnySubjectEvent, *, sent_at: int, named: bool) -> dict[str, Any]:
    """The event as JSON has it: without what intake sets, and its id only where it is to count as the event's."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("skew_ms", "evidence", *(() if named else ("event_id",)), *(() if event.producer else ("producer",))):
        fields.pop(name, None)
    if event.evidence is not None:
        fields["evidence"] = event.evidence.decode("latin-1")
    if event.sent_at is None:
        fields["sent_at"] = sent_at
    return {name: value for name, value in fields.items() if value is not None}


def encode_body(body: object) -> bytes:
    return _encode(body)


def read_appended(body: bytes, expected: Sequence[str | None], *, is_list: bool) -> tuple[Appended, ...]:
    """Where the events stand. `expected`: their ids, as far as they were sent. Raises Unavailable."""
    try:
        written = _list.decode(body).events if is_list else (_one.decode(body),)
        found = tuple(
            Appended(event_id=each.event_id, position=Position.parse(each.position), effect=each.effect)
            for each in written
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ConsentryError) as fault:
        raise Unavailable(f"the node's answer cannot be read: {fault}", remedy=UNKNOWN_OUTCOME) from fault
    ids = [each.event_id for each in found]
    if len(ids) != len(expected) or any(sent not in (None, got) for sent, got in zip(expected, ids, strict=True)):
        raise Unavailable("the node's answer is about other events", remedy=UNKNOWN_OUTCOME)
    return found


def details_of(body: bytes) -> Details:
    """What a refusal says; nothing, where something else than a node of ours refused."""
    try:
        return _details.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Details()


def refusal_of(status: int, body: bytes) -> ConsentryError:
    """The error that a 4xx answer to events stands for."""
    said = details_of(body)
    what = said.detail or f"the node answered {status}"
    if status == 401 or not said.code:
        return ConsentryError(
            what, where=f"HTTP {status}", remedy="" if said.code else "is this a query node's address?"
        )
    problems = [Problem(fault.detail, where=fault.pointer, remedy=fault.remedy) for fault in said.errors]
    return InvalidEvent(problems or [Problem(what)], status=status, code=said.code)
