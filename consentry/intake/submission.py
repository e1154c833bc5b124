"""JSON of one event or of a list, parsed once into events. A fault is an InvalidEvent and names the field."""

import re
from typing import Any, get_args
from uuid import UUID

import msgspec

from consentry.errors import InvalidEvent, Problem
from consentry.events import AnySubjectEvent
from consentry.intake.faults import Fault, refusal
from consentry.settings import Settings
from consentry.terms import Channel

UNNAMED: UUID = UUID(int=0)
"""stands for the event_id that a caller left out, until intake gives one"""
_EVIDENCE = re.compile(r"[A-Za-z0-9._~:/#-]{1,256}", re.ASCII)
_EVIDENCE_REMEDY = "an opaque reference to what proves the act: 1 to 256 of A-Z a-z 0-9 . _ ~ : / # -"
_AT = re.compile(r" - at `(?P<path>.*)`$", re.DOTALL)
_FIELD = re.compile(r"(?:unknown|missing required) field `(?P<name>[^`]*)`")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[0-9]+)\]")
_REQUIRED = {
    kind.__name__: tuple(field.name for field in msgspec.structs.fields(kind) if field.required)
    for kind in get_args(AnySubjectEvent)
}
"""the fields that an event of each type must have"""
_SAYS = {
    "/type": "the event's type, as ConsentGiven",
    "/subject": "whom it is about, as account:ada",
    "/occurred_at": "when it happened: ms since the epoch, UTC",
    "/actor": "who acted: role and id",
    "/channel": f"where it was said: {', '.join(Channel)}",
}


class Submission(msgspec.Struct, frozen=True):
    """An event as a caller sent it: of the right shape, not yet checked, authorised or completed."""

    event: AnySubjectEvent
    place: str = ""
    """a JSON pointer to it in the body: "" for one event, "/3" in a list"""

    @property
    def is_named(self) -> bool:
        """Whether the caller gave it an event_id."""
        return self.event.event_id != UNNAMED


def parse_submission(body: bytes | object, settings: Settings) -> list[Submission]:
    """The events of a request's body: JSON bytes, or what a JSON parser made of them.

    Raises InvalidEvent: 400 where it is no JSON, 422 where an item is no event (its first fault).
    """
    document = _document(body) if isinstance(body, bytes) else body
    if not isinstance(document, list):
        return [_submission(document, "")]
    if not 1 <= len(document) <= settings.max_batch:
        what = f"a list of {len(document)} events" if document else "an empty list"
        raise refusal([Fault(where="", what=what, remedy=f"send 1 to {settings.max_batch} events")])
    submissions: list[Submission] = []
    problems: list[Problem] = []
    for index, item in enumerate(document):
        try:
            submissions.append(_submission(item, f"/{index}"))
        except InvalidEvent as fault:
            problems += fault.problems
    if problems:
        raise InvalidEvent(problems)
    return submissions


def _document(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise refusal(
            [Fault(where="", what=f"the body is not JSON: {fault}", status=400, code="INVALID_JSON")]
        ) from fault


def _submission(item: object, place: str) -> Submission:
    if not isinstance(item, dict):
        raise refusal([Fault(where=place, what="an event is a JSON object")])
    fields: dict[str, Any] = dict(item)
    faults = [fault.within(place) for fault in (_fault_of_own(fields), _fault_of_evidence(fields)) if fault]
    if faults:
        raise refusal(faults)
    named = fields.get("event_id") is not None
    if not named:
        fields["event_id"] = UNNAMED
    if isinstance(fields.get("evidence"), str):
        fields["evidence"] = fields["evidence"].encode("ascii")
    try:
        submission = Submission(msgspec.convert(fields, AnySubjectEvent), place)
    except msgspec.ValidationError as fault:
        raise refusal([one.within(place) for one in _faults_of_shape(str(fault), fields)]) from fault
    if named and not submission.is_named:
        raise refusal([Fault(where=f"{place}/event_id", what="the nil UUID names nothing")])
    return submission


def _faults_of_shape(message: str, fields: dict[str, Any]) -> list[Fault]:
    """msgspec names its first fault alone; every field that is missing is named besides."""
    kind = fields.get("type")
    required = _REQUIRED.get(kind, ()) if isinstance(kind, str) else ()
    missing = [_missing(f"/{name}") for name in required if name not in fields and name != "event_id"]
    where, what = pointer_of(message)
    if where in {fault.where for fault in missing}:
        return missing
    first = _missing(where) if "missing required field" in what else Fault(where=where, what=what)
    return [first, *missing]


def _missing(where: str) -> Fault:
    return Fault(where=where, what="it is missing", remedy=_SAYS.get(where, "it cannot be left out"))


def _fault_of_own(fields: dict[str, Any]) -> Fault | None:
    """`skew_ms` is what intake found out about a caller's clock; nobody else says it."""
    if "skew_ms" not in fields:
        return None
    return Fault(where="/skew_ms", what="intake sets it", remedy="send sent_at, your clock's time when you sent it")


def _fault_of_evidence(fields: dict[str, Any]) -> Fault | None:
    evidence = fields.get("evidence")
    if evidence is None or (isinstance(evidence, str) and _EVIDENCE.fullmatch(evidence)):
        return None
    return Fault(where="/evidence", what="it is no reference", remedy=_EVIDENCE_REMEDY)


def is_evidence(evidence: bytes) -> bool:
    """Whether bytes that came another way than by JSON are a reference all the same."""
    return _EVIDENCE.fullmatch(evidence.decode("latin-1")) is not None


def pointer_of(message: str) -> tuple[str, str]:
    """msgspec's message -> (JSON pointer, what is wrong): "... - at `$.actor.role`" -> "/actor/role"."""
    at = _AT.search(message)
    what = message[: at.start()] if at else message
    steps = _STEP.finditer(at["path"]) if at else ()
    pointer = "".join(f"/{step['name'] or step['index']}" for step in steps)
    field = _FIELD.search(what)
    if field is None:
        return pointer, what
    return f"{pointer}/{field['name'].replace('~', '~0').replace('/', '~1')}", what
