"""POST /access/v1/evaluation: a bare ASGI route. It reads a question, lets `decide` answer, and writes that."""

import difflib
from time import perf_counter
from typing import Any

import msgspec

from consentry.authzen import (
    EVALUATION_PATH,
    Action,
    CheckContext,
    EvaluationAnswer,
    Resource,
    Subject,
    answer_of,
)
from consentry.decision import Decision, Request, decide
from consentry.errors import ConsentryError, Problem
from consentry.intake.subjects import fault_of_device, fault_of_subject, stored_device, stored_subject
from consentry.partition import partition_of
from consentry.policy import Policy
from consentry.policy.parse import RESOURCE_TYPES
from consentry.settings import Settings
from consentry.terms import Form, Operation, Position
from streams.access import Access
from streams.query.answers import Send, broken, request_id_of, send_answer, send_refusal
from streams.query.body import Gone, Receive, check_depth, check_media_type, decode, read_body
from streams.query.metrics import Metrics
from streams.query.problems import Refusal, unreadable
from streams.query.roles import authorise
from streams.query.seams import Clock, Replica

ROUTE = f"POST {EVALUATION_PATH}"
MAX_WARNINGS = 20
_OPERATIONS = {operation.value: operation for operation in Operation}
_CONTEXT_FIELDS = tuple(field.name for field in msgspec.structs.fields(CheckContext))
_NOTHING_SAID = CheckContext()
_NULL = b"null"


class _Received(msgspec.Struct, frozen=True):
    """The question as it comes in: its context is read twice, for its values and for its words."""

    subject: Subject
    action: Action
    resource: Resource
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    at: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Asked(msgspec.Struct, frozen=True):
    request: Request
    warnings: tuple[str, ...]


_received = msgspec.json.Decoder(_Received)
_context = msgspec.json.Decoder(CheckContext)
_words = msgspec.json.Decoder(dict[str, msgspec.Raw])


class EvaluationRoute:
    """An ASGI application of one route. Whatever goes wrong inside, it is not an ALLOW."""

    def __init__(self, settings: Settings, replica: Replica, access: Access, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._replica = replica
        self._access = access
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        started = perf_counter()
        headers = scope["headers"]
        fields = request_id_of(headers)
        try:
            authorise(ROUTE, headers, self._access)
            check_media_type(headers)
            answer = await self._answer(await read_body(headers, receive, self._settings))
        except Gone:
            return
        except Refusal as refusal:
            self._metrics.refused(ROUTE, refusal.code)
            await send_refusal(send, refusal, fields)
            return
        except Exception:  # whatever it is, the caller gets an answer and it denies
            await send_refusal(send, broken(ROUTE), fields)
            return
        self._metrics.evaluation_seconds.observe(perf_counter() - started)
        await send_answer(send, 200, answer, fields)

    async def _answer(self, body: bytes) -> EvaluationAnswer:
        check_depth(body, self._settings.max_json_depth)
        received = decode(_received, body)
        if received.at is not msgspec.UNSET:
            raise _asks_of_the_past("/at")
        replica = self._replica
        asked = _asked(received, replica.policies.in_force(self._clock()), self._settings)
        if asked.request.min_position is not None:
            await self._wait_for(asked.request.min_position, asked.request.subject)
        decision = self._decide(asked.request)
        self._metrics.decided(decision)
        return answer_of(decision, asked.warnings)

    def _decide(self, request: Request) -> Decision:
        now = self._clock()
        return decide(self._replica.view(request.subject, now), self._replica.policies, request, now)

    async def _wait_for(self, position: Position, subject: str) -> None:
        """Until it is visible or the time is over: `decide` sees which."""
        identity = self._replica.identity
        if position.epoch != identity.epoch:
            return
        partition = partition_of(subject, identity.partitions)
        if position.partition != partition:
            raise unreadable(
                Problem(
                    f"{position} is not in partition {partition}, where this subject's records are",
                    where="/context/min_position",
                    remedy="send the position that this subject's event was answered with",
                )
            )
        await self._replica.wait_for(position, self._settings.visible_timeout_ms)


def _asked(received: _Received, policy: Policy | None, settings: Settings) -> _Asked:
    """The question in our words. A word that the policy does not know makes it one about no data: a DENY."""
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
    )
    return _Asked(request, tuple(warnings))


class _Words(msgspec.Struct, frozen=True):
    """A gateway's words in ours. Where one of them is not known, what stands for it is asked with no data."""

    subject_type: str | None
    operation: Operation
    known: bool


def _translated(received: _Received, policy: Policy | None, warnings: list[str]) -> _Words:
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


_KNOWN_WORDS = frozenset(_CONTEXT_FIELDS)


def _near(word: str) -> list[str]:
    plain = word[:64].lower().replace("-", "_")
    return difflib.get_close_matches(plain, _CONTEXT_FIELDS, n=1, cutoff=0.75)


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
