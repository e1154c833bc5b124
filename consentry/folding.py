"""From a raw record of the log to a subject's next row: the one path that workers, replay and audit share.

It never raises on what a record holds. What cannot be decoded or folded is set aside whole, and its subject, where it
can be read, is quarantined in the same step, so that the row alone says that nothing may be allowed.
"""

from collections.abc import Callable

import msgspec

from consentry.codec import decode_log_record
from consentry.errors import UndecodableRecord, UntrustedLog
from consentry.events import Genesis, QuarantinedRecord, Recorded
from consentry.state.fold import fold_or_quarantine, quarantine
from consentry.state.row import SubjectState
from consentry.terms import Position

MAX_DETAIL = 500


class RawRecord(msgspec.Struct, frozen=True):
    """A record of consent-events as a Kafka client gives it; `timestamp` is LogAppendTime, ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A record of consent-events that holds no event that could be folded."""

    position: Position
    recorded_at: int
    source: str
    """topic-partition@offset"""
    subject: str | None
    """whose it is, as far as can be told"""
    code: str
    detail: str


class Folded(msgspec.Struct, frozen=True):
    """What a record came to. Without a state it touched no subject."""

    state: SubjectState | None = None
    changed: bool = False
    quarantined: QuarantinedRecord | None = None


StateOf = Callable[[str], SubjectState | None]


def fold_record(record: RawRecord, identity: Genesis, state_of: StateOf) -> Folded:
    """Fold one record. `state_of` gives a subject's state so far, or None.

    Raises UntrustedLog on a genesis that is not this log's, or stands where none belongs.
    """
    entry = read_record(record, identity)
    if entry is None:
        return Folded()
    if isinstance(entry, Recorded):
        subject = entry.event.subject
        before = state_of(subject)
        state, fault = fold_entry(before, entry, record.topic)
        if fault is None:
            return Folded(state, state is not before)
        return Folded(state, state is not before, _quarantined(record, "FOLD_FAILED", fault, subject))
    quarantined = _quarantined(record, entry.code, entry.detail, entry.subject)
    if entry.subject is None:
        return Folded(quarantined=quarantined)
    before = state_of(entry.subject)
    state, _ = fold_entry(before, entry, record.topic)
    return Folded(state, state is not before, quarantined)


def read_record(record: RawRecord, identity: Genesis) -> Recorded | Unreadable | None:
    """What a record of the log holds; None for its genesis.

    Raises UntrustedLog on a genesis that is not this log's, or stands where none belongs.
    """
    position = Position(identity.epoch, record.partition, record.offset)
    try:
        event = decode_log_record(record.value)
    except UndecodableRecord as fault:
        return _unreadable(record, position, "UNDECODABLE", str(fault), _subject_of_key(record.key))
    if isinstance(event, Genesis):
        _check_genesis(event, record, identity)
        return None
    if record.offset == 0:
        raise UntrustedLog("record 0 is no genesis", where=str(position), remedy="run `consentry topics check`")
    if record.key != event.subject.encode():
        return _unreadable(record, position, "WRONG_KEY", "the key is not the subject", event.subject)
    return Recorded(position, record.timestamp, event)


def fold_entry(
    before: SubjectState | None, entry: Recorded | Unreadable, topic: str
) -> tuple[SubjectState, str | None]:
    """The subject's next state, and why the record could not be folded, if so. `topic` is the log's name here."""
    position = entry.position
    if isinstance(entry, Recorded):
        before = before or SubjectState.unknown(entry.event.subject, position.epoch, position.partition)
        return fold_or_quarantine(before, entry, topic)
    before = before or SubjectState.unknown(entry.subject or "", position.epoch, position.partition)
    return quarantine(before, position, entry.source), entry.detail


def _unreadable(record: RawRecord, position: Position, code: str, detail: str, subject: str | None) -> Unreadable:
    return Unreadable(
        position=position,
        recorded_at=record.timestamp,
        source=f"{record.topic}-{record.partition}@{record.offset}",
        subject=subject,
        code=code,
        detail=detail,
    )


def _check_genesis(genesis: Genesis, record: RawRecord, identity: Genesis) -> None:
    where = f"{record.topic}-{record.partition}@{record.offset}"
    if record.offset != 0:
        raise UntrustedLog("a genesis stands in the midst of the log", where=where)
    if genesis != identity:
        raise UntrustedLog("the genesis is another log's", where=where, remedy="run `consentry topics check`")


def _subject_of_key(key: bytes | None) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None


def _quarantined(record: RawRecord, code: str, detail: str, subject: str | None) -> QuarantinedRecord:
    return QuarantinedRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        recorded_at=record.timestamp,
        key=record.key,
        value=record.value,
        code=code,
        detail=detail[:MAX_DETAIL],
        subject=subject,
    )
