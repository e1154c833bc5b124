"""Events as a person or a file hands them over: arguments, one JSON document, a list, or a document a line."""

import typing
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TextIO

import msgspec

from consentry.errors import ConsentryError
from consentry.events import Actor, AnySubjectEvent, SubjectEvent
from consentry.terms import ActorRole, Channel

KINDS: tuple[str, ...] = tuple(kind.__name__ for kind in typing.get_args(AnySubjectEvent))


class Batch(msgspec.Struct, frozen=True):
    """What goes in one request."""

    number: int
    """from 0, by its place in the file: a repeated file gives the same batches"""
    first: int
    """the place of its first event in the file, from 1"""
    events: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"[" + b",".join(self.events) + b"]"


def documents_in(stream: TextIO) -> Iterator[bytes]:
    """Each event of a file, as JSON. Raises ConsentryError where it is none."""
    lines = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
    first = next(lines, None)
    if first is None:
        return
    if _is_object(first[1]):
        for number, line in chain([first], lines):
            if not _is_object(line):
                raise ConsentryError("it is no JSON object", where=f"{_name(stream)}: line {number}")
            yield line.strip().encode()
        return
    yield from _whole(first[1] + "".join(line for _, line in lines), _name(stream))


def _is_object(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return True


def _whole(text: str, name: str) -> Iterator[bytes]:
    try:
        document = msgspec.json.decode(text, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except msgspec.DecodeError as fault:
        raise ConsentryError(
            f"it is no JSON: {fault}", where=name, remedy="one event, a list of them, or one event a line"
        ) from fault
    if isinstance(document, list):
        for item in document:
            yield bytes(item)
    else:
        yield text.encode()


def _name(stream: TextIO) -> str:
    return str(getattr(stream, "name", "standard input"))


def batches_of(events: Iterable[bytes], max_events: int, max_bytes: int) -> Iterator[Batch]:
    """In order; no batch has more events, or more bytes unless one event alone has."""
    waiting: list[bytes] = []
    size, number, first = 2, 0, 1
    for event in events:
        if waiting and (len(waiting) == max_events or size + len(event) + 1 > max_bytes):
            yield Batch(number, first, tuple(waiting))
            number, first = number + 1, first + len(waiting)
            waiting, size = [], 2
        waiting.append(event)
        size += len(event) + 1
    if waiting:
        yield Batch(number, first, tuple(waiting))


def event_of_arguments(
    kind: str,
    *,
    subject: str,
    actor_role: ActorRole,
    actor_id: str | None,
    channel: Channel,
    occurred_at: int,
    fields: Sequence[tuple[str, str]],
) -> bytes:
    """JSON of an event of that kind; a field that is a list may be named more than once, a nested one is JSON."""
    values: dict[str, object] = {
        "type": kind,
        "subject": subject,
        "occurred_at": occurred_at,
        "actor": Actor(role=actor_role, id=actor_id or subject),
        "channel": channel,
    }
    struct = next(one for one in typing.get_args(AnySubjectEvent) if one.__name__ == kind)
    types = {field.name: field.type for field in msgspec.structs.fields(struct)}
    envelope = {field.name for field in msgspec.structs.fields(SubjectEvent)}
    for name, text in fields:
        if name not in types:
            own = ", ".join(name for name in types if name not in envelope)
            raise ConsentryError(f"{kind} has no field {name!r}", where="--field", remedy=f"its own are {own}")
        values[name] = _value_of(name, text, types[name], values.get(name))
    return msgspec.json.encode(values)


def _value_of(name: str, text: str, kind: object, former: object) -> object:
    if "tuple" in str(kind):
        return [*(former if isinstance(former, list) else []), *text.split(",")]
    try:
        value: object = msgspec.json.decode(text) if text.startswith("{") else text
        return msgspec.to_builtins(msgspec.convert(value, kind, strict=False))
    except (msgspec.ValidationError, msgspec.DecodeError) as fault:
        raise ConsentryError(f"{text!r}: {fault}", where=f"--field {name}") from fault
