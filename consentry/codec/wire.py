"""Events, geneses, policy events and quarantined records: structs to Avro and back."""

from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

import msgspec

from consentry.codec.event_reader import read_event
from consentry.codec.framing import read, schema_of, write
from consentry.errors import UndecodableRecord
from consentry.events import AnyPolicyEvent, AnySubjectEvent, Genesis, QuarantinedRecord

_SUBJECT_EVENTS: dict[str, Any] = {kind.__name__: kind for kind in get_args(AnySubjectEvent)}
_POLICY_EVENTS: dict[str, Any] = {kind.__name__: kind for kind in get_args(AnyPolicyEvent)}
_UUID_FIELDS = ("event_id", "request", "obligation_id", "log_id")
_LIST_FIELDS = ("operations", "data", "recipients")


def _datum_of(event: AnySubjectEvent) -> dict[str, Any]:
    datum = msgspec.structs.asdict(event)
    actor = datum.pop("actor")
    datum["actor_role"] = actor.role
    datum["actor_id"] = actor.id
    if "notice" in datum:
        notice = datum.pop("notice")
        datum["notice_hash"] = notice and notice.hash
        datum["notice_language"] = notice and notice.language
    for name in _LIST_FIELDS:
        value = datum.get(name)
        if value is not None:
            datum[name] = list(value)  # to fastavro a tuple in a union is a type hint
    return _uuids_to_bytes(datum)


def _uuids_to_bytes(datum: dict[str, Any]) -> dict[str, Any]:
    for name in _UUID_FIELDS:
        value = datum.get(name)
        if value is not None:
            datum[name] = value.bytes
    return datum


def _struct_of(datum: dict[str, Any], kind: Any) -> Any:
    for name in _UUID_FIELDS:
        value = datum.get(name)
        if value is not None:
            datum[name] = UUID(bytes=value)
    if "actor_role" in datum:
        datum["actor"] = {"role": datum.pop("actor_role"), "id": datum.pop("actor_id")}
    if "notice_hash" in datum:
        hash_, language = datum.pop("notice_hash"), datum.pop("notice_language")
        datum["notice"] = None if hash_ is None else {"hash": hash_, "language": language}
    try:
        return msgspec.convert(datum, kind)
    except msgspec.ValidationError as fault:
        # e.g. a term that this version does not know: a reader denies, a worker quarantines
        raise UndecodableRecord(f"{kind.__name__}: {fault}") from fault


def _decoder(kinds: dict[str, Any]) -> Callable[[bytes | None], Any]:
    def decode(value: bytes | None) -> Any:
        schema = schema_of(value)
        kind = kinds.get(schema.record)
        if kind is None:
            raise UndecodableRecord(f"a {schema.record} does not belong here")
        return _struct_of(read(schema, value or b""), kind)

    return decode


_decode_event = _decoder(_SUBJECT_EVENTS)
_decode_log_record = _decoder({**_SUBJECT_EVENTS, "Genesis": Genesis})
_decode_policy_record = _decoder({**_POLICY_EVENTS, "Genesis": Genesis})
_decode_quarantined = _decoder({"QuarantinedRecord": QuarantinedRecord})


def encode_event(event: AnySubjectEvent) -> bytes:
    """A subject event, for consent-events or an intake topic."""
    return write(type(event).__name__, _datum_of(event))


def decode_event(value: bytes | None) -> AnySubjectEvent:
    """A subject event. Raises UndecodableRecord."""
    return (read_event(value) if value else None) or decode_event_by_schema(value)


def decode_event_by_schema(value: bytes | None) -> AnySubjectEvent:
    """The same the long way, by fastavro: what is not read in place, and the judge of what is."""
    event: AnySubjectEvent = _decode_event(value)
    return event


def decode_log_record(value: bytes | None) -> AnySubjectEvent | Genesis:
    """A record of consent-events. Raises UndecodableRecord."""
    record: AnySubjectEvent | Genesis = (read_event(value) if value else None) or _decode_log_record(value)
    return record


def encode_genesis(genesis: Genesis) -> bytes:
    return write("Genesis", _uuids_to_bytes(msgspec.structs.asdict(genesis)))


def encode_policy_event(event: AnyPolicyEvent) -> bytes:
    return write(type(event).__name__, _uuids_to_bytes(msgspec.structs.asdict(event)))


def decode_policy_record(value: bytes | None) -> AnyPolicyEvent | Genesis:
    """A record of policy-revisions. Raises UndecodableRecord."""
    record: AnyPolicyEvent | Genesis = _decode_policy_record(value)
    return record


def encode_quarantined(record: QuarantinedRecord) -> bytes:
    return write("QuarantinedRecord", msgspec.structs.asdict(record))


def decode_quarantined(value: bytes | None) -> QuarantinedRecord:
    """A record of consent-quarantine. Raises UndecodableRecord."""
    record: QuarantinedRecord = _decode_quarantined(value)
    return record
