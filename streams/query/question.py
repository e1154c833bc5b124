"""A check as it comes in, read into a Request in our words. No decision: what cannot be asked is refused or denied."""

import difflib
from functools import lru_cache
from typing import NamedTuple

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
LONGEST_WORD = 64
"""characters of a foreign word that are compared and told"""
LOOKED_AT = 256
"""foreign words of a context that are compared with ours; where there are more, nothing is allowed"""
_OPERATIONS = {operation.value: operation for operation in Operation}
_CONTEXT_FIELDS = tuple(field.name for field in msgspec.structs.fields(CheckContext))
_KNOWN_WORDS = frozenset(_CONTEXT_FIELDS)
_NOTHING_SAID = CheckContext()
_NULL = b"null"
_ALIKE = 0.82


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
    subject_type: str | None
    """in the policy's words; None: it knows no such type"""
    meant: Request | None = None
    """the question with each misspelt field read as the one of ours that is meant: an ALLOW needs both to be allowed"""


class _Said(NamedTuple):
    """A context, read."""

    context: CheckContext
    warnings: list[str]
    meant: CheckContext | None = None
    """with its misspelt fields read as ours; None where none is misspelt"""
    readable: bool = True
    """False: a misspelt field holds what ours cannot"""


_context = msgspec.json.Decoder(CheckContext)
_words = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()
_NOTHING = b"null"
"""said of a field, it says no more than to leave it out"""


def asked_by(received: Received, policy: Policy | None, settings: Settings) -> Asked:
    """The question in our words. A word that the policy does not know makes it one about no data: a DENY.

    Raises Refusal (400) naming the field that says nothing sensible.
    """
    if received.at is not msgspec.UNSET:
        raise _asks_of_the_past("/at")
    said = _context_of(received.context, settings)
    warnings = said.warnings
    words = _translated(received, policy, warnings)
    known = words.known and said.readable
    request = _request(received, said.context, words, settings, known=known)
    if said.meant is None:
        return Asked(request, tuple(warnings), words.subject_type)
    return Asked(
        request, tuple(warnings), words.subject_type, _request(received, said.meant, words, settings, known=known)
    )


def _request(received: Received, context: CheckContext, words: "_Words", settings: Settings, *, known: bool) -> Request:
    data = words.data if context.data is None else (context.data,) if isinstance(context.data, str) else context.data
    return Request(
        subject=_subject_of(words.subject_type, received.subject, settings),
        operation=words.operation,
        purpose=received.resource.id,
        data=data if known else (),
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


class _Words(msgspec.Struct, frozen=True):
    """A gateway's words in ours. Where one of them is not known, what stands for it is asked with no data."""

    subject_type: str | None
    operation: Operation
    known: bool
    data: tuple[str, ...] = ()
    """what the resource is about, by the policy's vocabulary"""


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
        unknown.append(f"subject type {theirs[:LONGEST_WORD]!r}")
    if operation is None:
        unknown.append(f"action {name[:LONGEST_WORD]!r}")
    if resource_type not in RESOURCE_TYPES:
        unknown.append(f"resource type {received.resource.type[:LONGEST_WORD]!r}")
    warnings += [f"{word} is no word of the policy's: nothing is allowed for it" for word in unknown]
    data = vocabulary.data.get(received.resource.type, ())
    return _Words(subject_type, operation or Operation.COLLECT, known=not unknown, data=data)


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


def _context_of(raw: msgspec.Raw | msgspec.UnsetType, settings: Settings) -> _Said:
    if raw is msgspec.UNSET or bytes(raw) == _NULL:
        return _Said(_NOTHING_SAID, [])
    context = decode(_context, raw, under="/context")
    words = decode(_words, raw, under="/context")
    if "at" in words:
        raise _asks_of_the_past("/context/at")
    if words.keys() <= _KNOWN_WORDS:
        return _Said(context, [])
    return _with_misspelt(context, words, settings)


def _with_misspelt(context: CheckContext, words: dict[str, msgspec.Raw], settings: Settings) -> _Said:
    """Fields that look like one of ours: they say nothing, and gain nothing where ours is not said beside them."""
    foreign = [word for word in words if word not in _KNOWN_WORDS]
    if len(foreign) > LOOKED_AT:
        return _Said(context, [f"{len(foreign)} context fields are not ours: nothing is allowed"], readable=False)
    near = {word: ours for word in foreign if (ours := _near(word[:LONGEST_WORD])) is not None}
    warnings = [f"context field {word[:LONGEST_WORD]!r} is ignored; is {ours!r} meant?" for word, ours in near.items()]
    misspelt = {word: ours for word, ours in near.items() if bytes(words.get(ours, _NOTHING)) == _NOTHING}
    if not misspelt:
        return _Said(context, warnings[:MAX_WARNINGS])
    meant = _as_meant(words, misspelt, settings)
    if meant is None:
        warnings.insert(0, "a misspelt context field holds no value of the field that is meant: nothing is allowed")
    return _Said(context, warnings[:MAX_WARNINGS], meant, readable=meant is not None)


def _as_meant(words: dict[str, msgspec.Raw], misspelt: dict[str, str], settings: Settings) -> CheckContext | None:
    """The context with its misspelt fields read as ours; None where they cannot be."""
    if len(set(misspelt.values())) < len(misspelt):
        return None
    own = {word: value for word, value in words.items() if word in _KNOWN_WORDS}
    own |= {ours: words[word] for word, ours in misspelt.items()}
    try:
        meant = _context.decode(_encoder.encode(own))
        _position_of(meant.min_position)
        _device_of(meant.device, settings)
    except (msgspec.ValidationError, Refusal):
        return None
    return meant


@lru_cache(maxsize=1_024)
def _near(word: str) -> str | None:
    """The field of ours that a word looks like. It is kept, so it has to be short."""
    plain = word.lower().replace("-", "_")
    return next(iter(difflib.get_close_matches(plain, _CONTEXT_FIELDS, n=1, cutoff=_ALIKE)), None)


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
            remedy="leave it out; a subject's history answers for another time",
        )
    )
