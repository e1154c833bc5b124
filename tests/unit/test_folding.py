"""From a raw record to a row: what is odd is set aside whole, and its subject is denied in the same step."""

from uuid import UUID

import msgspec
import pytest
from unit.folding import OPERATOR, SUBJECT, Log

from consentry.codec import encode_event, encode_genesis
from consentry.errors import UntrustedLog
from consentry.events import AnySubjectEvent, ConsentWithdrawn, Genesis, PolicyAccepted, SubjectErased
from consentry.folding import Folded, RawRecord, fold_record
from consentry.state.row import SubjectState
from consentry.terms import Position, SubjectIds

IDENTITY = Genesis(log_id=UUID(int=1), epoch=1, partitions=12, subject_ids=SubjectIds.PLAIN)
TOPIC = "shop.consent-events"


def event(kind: type = ConsentWithdrawn, **fields: object) -> AnySubjectEvent:
    log = Log()
    log.append(kind, **fields)
    return log.records[0].event


def raw(value: bytes | None, *, offset: int = 5, key: bytes | None = SUBJECT.encode()) -> RawRecord:
    return RawRecord(TOPIC, 3, offset, 2_000, key, value)


def folded(record: RawRecord, state: SubjectState | None = None) -> Folded:
    return fold_record(record, IDENTITY, {SUBJECT: state}.get)


def test_an_event_becomes_its_subject_s_row() -> None:
    result = folded(raw(encode_event(event())))
    assert result.state is not None
    assert (result.state.position, len(result.state.marks)) == (Position(1, 3, 5), 1)
    assert result.changed
    assert result.quarantined is None


def test_an_event_that_changes_nothing_is_said_to() -> None:
    state = folded(raw(encode_event(event()))).state
    again = folded(raw(encode_event(event()), offset=6), state)
    assert again.state is state
    assert not again.changed


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\xc3\x01 not a record", "UNDECODABLE"),
        (None, "UNDECODABLE"),
        (encode_event(msgspec.structs.replace(event(), subject="account:bob")), "WRONG_KEY"),
    ],
)
def test_a_record_that_holds_no_event_of_its_key_is_set_aside_whole(value: bytes | None, code: str) -> None:
    record = raw(value)
    result = fold_record(record, IDENTITY, {}.get)
    assert result.quarantined is not None
    assert (result.quarantined.code, result.quarantined.value, result.quarantined.key) == (code, value, record.key)
    assert result.state is not None
    assert result.state.quarantined == (result.quarantined.source,) == ("shop.consent-events-3@5",)


def test_a_record_that_cannot_be_folded_is_set_aside_under_the_same_name() -> None:
    elsewhere = SubjectState(subject=SUBJECT, position=Position(1, 2, 1))
    result = folded(raw(encode_event(event())), elsewhere)
    assert result.quarantined is not None
    assert result.quarantined.code == "FOLD_FAILED"
    assert result.state is not None
    assert result.state.quarantined == (result.quarantined.source,)


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"])
def test_a_record_of_nobody_is_set_aside_and_denies_nobody(key: bytes | None) -> None:
    result = folded(raw(b"odd", key=key))
    assert result.quarantined is not None
    assert result.state is None


def test_an_odd_record_after_erasure_leaves_the_stub_as_it_is() -> None:
    stub = folded(raw(encode_event(event(SubjectErased, request=UUID(int=7), actor=OPERATOR)))).state
    result = folded(raw(b"odd", offset=6), stub)
    assert result.state is stub
    assert not result.changed
    assert result.quarantined is not None


def test_a_genesis_touches_no_subject() -> None:
    assert folded(raw(encode_genesis(IDENTITY), offset=0, key=None)) == Folded()


@pytest.mark.parametrize(
    ("value", "offset", "said"),
    [
        (encode_genesis(IDENTITY), 4, "in the midst"),
        (encode_genesis(msgspec.structs.replace(IDENTITY, log_id=UUID(int=2))), 0, "another log's"),
        (encode_event(event(PolicyAccepted, policy_version=1)), 0, "no genesis"),
    ],
)
def test_a_log_that_is_not_the_one_we_know_is_not_folded(value: bytes, offset: int, said: str) -> None:
    with pytest.raises(UntrustedLog, match=said):
        folded(raw(value, offset=offset))
