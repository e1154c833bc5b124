"""The part of a row that few rows have, to Avro and back: the nullable record `circumstances`."""

import struct
from functools import cache
from typing import Any

from consentry.codec import datum, reading
from consentry.codec.columns import (
    AGE_BAND_CODE,
    AGE_BANDS,
    AGE_SOURCE_CODE,
    AGE_SOURCES,
    OPERATIONS_OF,
    ROLE_CODE,
    ROLES,
    Texts,
    group,
    operation_bits,
)
from consentry.codec.framing import registry
from consentry.codec.reading import Unusual
from consentry.state.row import (
    Acceptance,
    AgeStatement,
    Circumstances,
    Ending,
    Guardianship,
    Invocation,
    Lift,
    Objection,
    Scope,
)

_AGE = struct.Struct(">16sBiBBqqq")
"""event id, source, birth date (days as date.toordinal counts; 0: none), band, may raise, occurred, recorded, offset"""
_GUARDIANSHIP = struct.Struct(">16sqqqqqq")
"""id of the verification, linked, verified, its offset, unlinked, first verified, its offset (-1: not so, or never);
text: guardian"""
_ACCEPTANCE = struct.Struct(">16sBiqqq")
"""event id, role, policy version, occurred, recorded, offset; text: actor"""
_LIFT = struct.Struct(">16sBBqqq")
"""event id, role, informed, occurred, recorded, offset; texts: actor, purpose"""
_OBJECTION = struct.Struct(">16sBBqqHH")
"""event id, role, operations, recorded, offset, number of data, of recipients;
texts: actor, purpose, data, recipients"""
_INVOCATION = struct.Struct(">16sBqqqqHH")
"""event id, operations, valid until, occurred, recorded, offset, number of data, of recipients;
texts: code, legal reference, purpose, data, recipients"""
_ENDING = struct.Struct(">16sBqqHH")
"""event id, operations, recorded, offset, number of data, of recipients; texts: code, purpose, data, recipients"""
_NO_ID = bytes(16)


def encode_circumstances(facts: Circumstances) -> bytes:
    """The second branch of the union: every field of the record, in the schema's order."""
    return b"".join(
        (
            datum.PRESENT,
            datum.octets(b"".join([_pack_age(statement) for statement in facts.ages])),
            group(facts.guardianships, _pack_guardianship, lambda each: (each.guardian,)),
            group(facts.acceptances, _pack_acceptance, lambda each: (each.actor_id,)),
            group(facts.lifts, _pack_lift, lambda each: (each.actor_id, each.purpose)),
            group(facts.objections, _pack_objection, lambda each: (each.actor_id, *_texts_of(each.scope))),
            group(
                facts.invocations, _pack_invocation, lambda each: (each.code, each.legal_ref, *_texts_of(each.scope))
            ),
            group(facts.endings, _pack_ending, lambda each: (each.code, *_texts_of(each.scope))),
        )
    )


def circumstances_from(record: dict[str, Any]) -> Circumstances:
    """Raises ValueError, IndexError or struct.error on columns that do not fit together."""
    return Circumstances(
        ages=_ages_from(record["ages"]),
        guardianships=_guardianships_from(record["guardianships"], Texts(record["guardianship_texts"])),
        acceptances=_acceptances_from(record["acceptances"], Texts(record["acceptance_texts"])),
        lifts=_lifts_from(record["lifts"], Texts(record["lift_texts"])),
        objections=_objections_from(record["objections"], Texts(record["objection_texts"])),
        invocations=_invocations_from(record["invocations"], Texts(record["invocation_texts"])),
        endings=_endings_from(record["endings"], Texts(record["ending_texts"])),
    )


def read_circumstances(value: bytes, place: int) -> tuple[Circumstances | None, int]:
    """In place, and the next place. Raises what `reading` and `circumstances_from` do."""
    branch = value[place]
    place += 1
    if not branch:
        return None, place
    if branch != 2:
        raise Unusual
    record: dict[str, Any] = {}
    for name, read in _columns():
        record[name], place = read(value, place)
    return circumstances_from(record), place


@cache
def _columns() -> tuple[tuple[str, reading.Read], ...]:
    """The record's fields in the schema's order: bytes, and arrays of strings."""
    fields = registry().newest["SubjectState"].parsed["fields"][-1]["type"][1]["fields"]
    return tuple((field["name"], reading.octets if field["type"] == "bytes" else reading.texts) for field in fields)


def _texts_of(scope: Scope) -> tuple[str, ...]:
    return (scope.purpose, *scope.data, *scope.recipients)


def _scope_from(operations: int, purpose: str, texts: Texts, data: int, recipients: int) -> Scope:
    return Scope(purpose, OPERATIONS_OF[operations], texts.take(data), texts.take(recipients))


def _pack_age(statement: AgeStatement) -> bytes:
    return _AGE.pack(
        statement.event_id,
        AGE_SOURCE_CODE[statement.source],
        statement.birth_date or 0,
        AGE_BAND_CODE[statement.band],
        statement.may_raise,
        statement.occurred_at,
        statement.recorded_at,
        statement.offset,
    )


def _ages_from(packed: bytes) -> tuple[AgeStatement, ...]:
    return tuple(
        [
            AgeStatement(
                event_id=event_id,
                source=AGE_SOURCES[source],
                birth_date=birth_date or None,
                band=AGE_BANDS[band],
                may_raise=bool(may_raise),
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                offset=offset,
            )
            for event_id, source, birth_date, band, may_raise, occurred_at, recorded_at, offset in _AGE.iter_unpack(
                packed
            )
        ]
    )


def _pack_guardianship(guardianship: Guardianship) -> bytes:
    return _GUARDIANSHIP.pack(
        guardianship.verified_id or _NO_ID,
        guardianship.linked_at,
        guardianship.verified_at,
        guardianship.verified_offset,
        guardianship.unlinked_at,
        guardianship.first_verified_at,
        guardianship.first_verified_offset,
    )


def _guardianships_from(packed: bytes, texts: Texts) -> tuple[Guardianship, ...]:
    guardianships = [
        Guardianship(
            guardian=texts.take(1)[0],
            linked_at=linked_at,
            verified_at=verified_at,
            verified_offset=verified_offset,
            verified_id=verified_id if verified_at >= 0 else b"",
            unlinked_at=unlinked_at,
            first_verified_at=first_verified_at,
            first_verified_offset=first_verified_offset,
        )
        for (
            verified_id, linked_at, verified_at, verified_offset, unlinked_at, first_verified_at,
            first_verified_offset,
        ) in _GUARDIANSHIP.iter_unpack(packed)
    ]  # fmt: skip
    texts.end()
    return tuple(guardianships)


def _pack_acceptance(acceptance: Acceptance) -> bytes:
    return _ACCEPTANCE.pack(
        acceptance.event_id,
        ROLE_CODE[acceptance.actor_role],
        acceptance.policy_version,
        acceptance.occurred_at,
        acceptance.recorded_at,
        acceptance.offset,
    )


def _acceptances_from(packed: bytes, texts: Texts) -> tuple[Acceptance, ...]:
    acceptances = [
        Acceptance(
            event_id=event_id,
            actor_role=ROLES[role],
            actor_id=texts.take(1)[0],
            policy_version=policy_version,
            occurred_at=occurred_at,
            recorded_at=recorded_at,
            offset=offset,
        )
        for event_id, role, policy_version, occurred_at, recorded_at, offset in _ACCEPTANCE.iter_unpack(packed)
    ]
    texts.end()
    return tuple(acceptances)


def _pack_lift(lift: Lift) -> bytes:
    return _LIFT.pack(
        lift.event_id, ROLE_CODE[lift.actor_role], lift.informed, lift.occurred_at, lift.recorded_at, lift.offset
    )


def _lifts_from(packed: bytes, texts: Texts) -> tuple[Lift, ...]:
    lifts = []
    for event_id, role, informed, occurred_at, recorded_at, offset in _LIFT.iter_unpack(packed):
        actor_id, purpose = texts.take(2)
        lifts.append(
            Lift(
                event_id=event_id,
                purpose=purpose,
                actor_role=ROLES[role],
                actor_id=actor_id,
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                offset=offset,
                informed=bool(informed),
            )
        )
    texts.end()
    return tuple(lifts)


def _pack_objection(objection: Objection) -> bytes:
    return _OBJECTION.pack(
        objection.event_id,
        ROLE_CODE[objection.actor_role],
        operation_bits(objection.scope.operations),
        objection.recorded_at,
        objection.offset,
        len(objection.scope.data),
        len(objection.scope.recipients),
    )


def _objections_from(packed: bytes, texts: Texts) -> tuple[Objection, ...]:
    objections = []
    for event_id, role, operations, recorded_at, offset, data, recipients in _OBJECTION.iter_unpack(packed):
        actor_id, purpose = texts.take(2)
        objections.append(
            Objection(
                event_id=event_id,
                actor_role=ROLES[role],
                actor_id=actor_id,
                recorded_at=recorded_at,
                offset=offset,
                scope=_scope_from(operations, purpose, texts, data, recipients),
            )
        )
    texts.end()
    return tuple(objections)


def _pack_invocation(invocation: Invocation) -> bytes:
    return _INVOCATION.pack(
        invocation.event_id,
        operation_bits(invocation.scope.operations),
        invocation.valid_until,
        invocation.occurred_at,
        invocation.recorded_at,
        invocation.offset,
        len(invocation.scope.data),
        len(invocation.scope.recipients),
    )


def _invocations_from(packed: bytes, texts: Texts) -> tuple[Invocation, ...]:
    invocations = []
    for (
        event_id, operations, valid_until, occurred_at, recorded_at, offset, data, recipients,
    ) in _INVOCATION.iter_unpack(packed):  # fmt: skip
        code, legal_ref, purpose = texts.take(3)
        invocations.append(
            Invocation(
                event_id=event_id,
                code=code,
                legal_ref=legal_ref,
                valid_until=valid_until,
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                offset=offset,
                scope=_scope_from(operations, purpose, texts, data, recipients),
            )
        )
    texts.end()
    return tuple(invocations)


def _pack_ending(ending: Ending) -> bytes:
    return _ENDING.pack(
        ending.event_id,
        operation_bits(ending.scope.operations),
        ending.recorded_at,
        ending.offset,
        len(ending.scope.data),
        len(ending.scope.recipients),
    )


def _endings_from(packed: bytes, texts: Texts) -> tuple[Ending, ...]:
    endings = []
    for event_id, operations, recorded_at, offset, data, recipients in _ENDING.iter_unpack(packed):
        code, purpose = texts.take(2)
        endings.append(
            Ending(
                event_id=event_id,
                code=code,
                recorded_at=recorded_at,
                offset=offset,
                scope=_scope_from(operations, purpose, texts, data, recipients),
            )
        )
    texts.end()
    return tuple(endings)
