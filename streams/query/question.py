"""A check as it comes in, read into a Request in our words. No decision: what cannot be asked is refused or denied."""

import difflib

import msgspec

from consentry.authzen import Action, CheckContext, Resource, Subject
from consentry.decision import Request
from consentry.errors import ConsentryError, Problem
from consentry.intake.subjects import fault_of_device, fault_of_subject, stored_device, stored_subject
from consentry.policy import Policy
from consentry.policy.parse import RESOURCE_TYPES
from consentry.settings import Settings
from consentry.terms import Form, Operation, Position
from streams.query.body import decode
from streams.query.problems import Refusal, unreadable

MAX_WARNINGS = 20
_OPERATIONS = {operation.value: operation for operation in Operation}
_CONTEXT_FIELDS = tuple(field.name for field in msgspec.structs.fields(CheckContext))
_KNOWN_WORDS = frozenset(_CONTEXT_FIELDS)
_NOTHING_SAID = CheckContext()
_NULL = b"null"
_ALIKE = 0.75


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """The question as it comes in: its context is read twice, for its values and for its words."""

    subject: Subject
    action: Action
    resource: Resource
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    at: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Asked(msgspec.Struct, frozen=True):
    """The question in our words, and what of it was not understood."""

    request: Request
    warnings: tuple[str, ...]


_context = msgspec.json.Decoder(CheckContext)
_words = msgspec.json.Decoder(dict[str, msgspec.Raw])


def asked_by(received: Received, policy: Policy | None, settings: Settings) -> Asked:
    """The question in our words. A word that the policy does not know makes it one about no data: a DENY.

    Raises Refusal (400) naming the field that says nothing sensible.
    """
    if received.at is not msgspec.UNSET:
        raise _asks_of_the_past("/at")
    context, warnings = _context_of(received.context)
    words = _translated(received, policy, warnings)
    data = (context.data,) if isinstance(context.data, str) else context.data or ()
    request = Request(
        subject=_subject_of(words.subject_type, received.subject, settings),
        operation=words.operation,
        purpose=received.resource.id,
        data=data if words.known else (),
        recipient=context.recipient,
        form=context.form or Form.IDENTIFIABLE,
        active=context.active or False,
        device=_device_of(context.device, settings),
        transfer_mechanism=context.transfer_mechanism,
        joined_with_identity=context.joined_with_identity,
        min_position=_position_of(context.min_position),
        scene=context.scene or None,
        user_initiated=context.user_initiated or False,
    )
    return Asked(request, tuple(warnings))


class _Words(msgspec.Struct, frozen=True):
    """A gateway's words in ours. Where one of them is not known, what stands for it is asked with no data."""

    subject_type: str | None
    operation: Operation
    known: bool


def _translated(received: Received, policy: Policy | None, warnings: list[str]) -> _Words:
    theirs, name = received.subject.type, received.action.name
    if policy is None:
        return _Words(None, Operation.COLLECT, known=False)
    vocabulary = policy.authzen
    mapped = vocabulary.subject_types.get(theirs, theirs)
    subject_type = mapped if mapped in policy.subject_types else None
    operation = vocabulary.actions.get(name) or _OPERATIONS.get(name)
    resource_type = vocabulary.resource_types.get(received.resource.type, received.resource.type)
    unknown = []
    if subject_type is None:
        unknown.append(f"subject type {theirs[:64]!r}")
    if operation is None:
        unknown.append(f"action {name[:64]!r}")
    if resource_type not in RESOURCE_TYPES:
        unknown.append(f"resource type {received.resource.type[:64]!r}")
    warnings += [f"{word} is no word of the policy's: nothing is allowed for it" for word in unknown]
    return _Words(subject_type, operation or Operation.COLLECT, known=not unknown)


def _subject_of(subject_type: str | None, subject: Subject, settings: Settings) -> str:
    if subject_type is None:
        return f"{subject.type}:{subject.id}"
    name = f"{subject_type}:{subject.id}"
    fault = fault_of_subject(name, settings)
    if fault is not None:
        raise unreadable(Problem(fault, where="/subject/id"))
    return stored_subject(name, settings)


def _device_of(device: str | None, settings: Settings) -> str | None:
    if device is None:
        return None
    fault = fault_of_device(device, settings)
    if fault is not None:
        raise unreadable(Problem(fault, where="/context/device"))
    return stored_device(device, settings)


def _context_of(raw: msgspec.Raw | msgspec.UnsetType) -> tuple[CheckContext, list[str]]:
    if raw is msgspec.UNSET or bytes(raw) == _NULL:
        return _NOTHING_SAID, []
    context = decode(_context, raw, under="/context")
    words = decode(_words, raw, under="/context")
    if "at" in words:
        raise _asks_of_the_past("/context/at")
    if words.keys() <= _KNOWN_WORDS:
        return context, []
    return context, [_warning_of(word) for word in list(words.keys() - _KNOWN_WORDS)[:MAX_WARNINGS] if _near(word)]


def _near(word: str) -> list[str]:
    plain = word[:64].lower().replace("-", "_")
    return difflib.get_close_matches(plain, _CONTEXT_FIELDS, n=1, cutoff=_ALIKE)


def _warning_of(word: str) -> str:
    return f"context field {word[:64]!r} is ignored; is {_near(word)[0]!r} meant?"


def _position_of(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        return Position.parse(text)
    except ConsentryError as fault:
        raise unreadable(Problem(fault.what, where="/context/min_position", remedy=fault.remedy)) from fault


def _asks_of_the_past(pointer: str) -> Refusal:
    return unreadable(
        Problem(
            "a live check answers for now alone",
            where=pointer,
            remedy="leave it out; `consentry audit replay --at` answers for another time",
        )
    )
