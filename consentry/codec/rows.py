"""State rows and watermarks: structs to Avro and back. Each group of a row is a pair of columns."""

import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from consentry.codec import datum, reading
from consentry.codec.circumstances import circumstances_from, encode_circumstances, read_circumstances
from consentry.codec.columns import (
    EXPRESSION_CODE,
    EXPRESSIONS,
    NO_ITEMS,
    OPERATIONS_OF,
    PERMISSION_CODE,
    PERMISSION_STATES,
    ROLE_CODE,
    ROLES,
    STATUS_CODE,
    STATUSES,
    Item,
    Texts,
    check_end,
    group,
    operation_bits,
)
from consentry.codec.framing import HEADER_BYTES, read, registry, schema_of, write
from consentry.codec.reading import UNUSUAL, Unusual
from consentry.errors import UndecodableRecord
from consentry.state.row import Act, CellBlock, Mark, OptOut, Permission, Scope, SubjectState, Watermark
from consentry.terms import Position

_ACT = struct.Struct(">16sBBBBBiqqqqHH")
"""event id, status, role, expression, operations, informed, policy version, occurred, recorded, offset,
valid until (-1: none), number of data, number of recipients; texts: actor, purpose, data, recipients"""
_MARK = struct.Struct(">16sBBBqqqHH")
"""event id, status, role, operations, occurred, recorded, offset, number of data, of recipients;
texts: actor, scene, purpose, data, recipients"""
_OPT_OUT = struct.Struct(">16sBqq")
"""event id, role, recorded, offset; texts: actor, purpose"""
_PERMISSION = struct.Struct(">16sBqqq")
"""event id, state, recorded, offset, last off (-1: none); texts: name, device"""


def encode_row(state: SubjectState) -> bytes:
    """The row's bytes: equal rows give equal bytes."""
    epoch, partition, offset = state.position
    number = datum.number
    # every field of SubjectState.v1.avsc, in its order
    return b"".join(
        (
            _newest_header(),
            datum.text(state.subject),
            number(epoch),
            number(partition),
            number(offset),
            number(state.fold_version),
            number(state.tightened_offset),
            datum.octets(state.recent),
            datum.optional_number(state.closed_at),
            datum.optional_number(state.erased_at),
            datum.optional_number(state.first_act_at),
            datum.texts(state.quarantined) if state.quarantined else datum.EMPTY,
            group(state.acts, _pack_act, _texts_of_act) if state.acts else NO_ITEMS,
            group(state.marks, _pack_mark, _texts_of_mark) if state.marks else NO_ITEMS,
            group(state.opt_outs, _pack_opt_out, _texts_of_opt_out) if state.opt_outs else NO_ITEMS,
            group(state.lifted_opt_outs, _pack_opt_out, _texts_of_opt_out) if state.lifted_opt_outs else NO_ITEMS,
            group(state.permissions, _pack_permission, _texts_of_permission) if state.permissions else NO_ITEMS,
            datum.EMPTY if state.circumstances is None else encode_circumstances(state.circumstances),
        )
    )


def _pack_act(act: Act) -> bytes:
    block = act.block
    return _ACT.pack(
        act.event_id,
        STATUS_CODE[act.status],
        ROLE_CODE[act.actor_role],
        EXPRESSION_CODE[act.expression],
        operation_bits(block.operations),
        act.informed,
        act.policy_version,
        act.occurred_at,
        act.recorded_at,
        act.offset,
        -1 if act.valid_until is None else act.valid_until,
        len(block.data),
        len(block.recipients),
    )


def _texts_of_act(act: Act) -> tuple[str, ...]:
    block = act.block
    return (act.actor_id, block.purpose, *block.data, *block.recipients)


def _pack_mark(mark: Mark) -> bytes:
    scope = mark.scope
    return _MARK.pack(
        mark.event_id,
        STATUS_CODE[mark.status],
        ROLE_CODE[mark.actor_role],
        operation_bits(scope.operations),
        mark.occurred_at,
        mark.recorded_at,
        mark.offset,
        len(scope.data),
        len(scope.recipients),
    )


def _texts_of_mark(mark: Mark) -> tuple[str, ...]:
    scope = mark.scope
    return (mark.actor_id, mark.scene, scope.purpose, *scope.data, *scope.recipients)


def _pack_opt_out(opt_out: OptOut) -> bytes:
    return _OPT_OUT.pack(opt_out.event_id, ROLE_CODE[opt_out.actor_role], opt_out.recorded_at, opt_out.offset)


def _texts_of_opt_out(opt_out: OptOut) -> tuple[str, ...]:
    return (opt_out.actor_id, opt_out.purpose)


def _pack_permission(seen: Permission) -> bytes:
    return _PERMISSION.pack(seen.event_id, PERMISSION_CODE[seen.state], seen.recorded_at, seen.offset, seen.off_at)


def _texts_of_permission(seen: Permission) -> tuple[str, ...]:
    return (seen.name, seen.device)


def decode_row(value: bytes | None) -> SubjectState:
    """A state row. Raises UndecodableRecord."""
    record = decode_state_record(value)
    if not isinstance(record, SubjectState):
        raise UndecodableRecord("a watermark stands where a row belongs")
    return record


def decode_state_record(value: bytes | None) -> SubjectState | Watermark:
    """A record of consent-state. Raises UndecodableRecord."""
    row = read_row(value) if value else None
    return row or decode_state_record_by_schema(value)


def decode_state_record_by_schema(value: bytes | None) -> SubjectState | Watermark:
    """The same the long way, by fastavro: what is not read in place, and the judge of what is."""
    schema = schema_of(value)
    if schema.topic != "consent-state":
        raise UndecodableRecord(f"a {schema.record} does not belong here")
    datum = read(schema, value or b"")
    try:
        return _watermark_of(datum) if schema.record == "Watermark" else _row_of(datum)
    except (IndexError, ValueError, struct.error) as fault:
        raise UndecodableRecord(f"{schema.record}: {fault}") from fault


def _row_of(row: dict[str, Any]) -> SubjectState:
    return SubjectState(
        subject=row["subject"],
        position=Position(row["epoch"], row["partition"], row["offset"]),
        fold_version=row["fold_version"],
        tightened_offset=row["tightened_offset"],
        recent=row["recent"],
        acts=_acts_from(row["acts"], row["act_texts"]),
        marks=_marks_from(row["marks"], row["mark_texts"]),
        opt_outs=_opt_outs_from(row["opt_outs"], row["opt_out_texts"]),
        lifted_opt_outs=_opt_outs_from(row["lifted_opt_outs"], row["lifted_opt_out_texts"]),
        permissions=_permissions_from(row["permissions"], row["permission_texts"]),
        quarantined=tuple(row["quarantined"]),
        closed_at=row["closed_at"],
        erased_at=row["erased_at"],
        first_act_at=row["first_act_at"],
        circumstances=circumstances_from(row["circumstances"]) if row["circumstances"] else None,
    )


def read_row(value: bytes) -> SubjectState | None:
    """A row of the newest schema, read in place in half the time; None where the long way has to tell."""
    if value[:HEADER_BYTES] != _newest_header():
        return None
    try:
        return _read_row(value)
    except (*UNUSUAL, struct.error):
        return None


def _read_row(value: bytes) -> SubjectState:
    """Every field of SubjectState.v1.avsc, in its order."""
    subject, place = reading.text(value, HEADER_BYTES)
    epoch, place = reading.number(value, place)
    partition, place = reading.number(value, place)
    offset, place = reading.number(value, place)
    fold_version, place = reading.number(value, place)
    tightened_offset, place = reading.number(value, place)
    recent, place = reading.octets(value, place)
    closed_at, place = reading.optional_number(value, place)
    erased_at, place = reading.optional_number(value, place)
    first_act_at, place = reading.optional_number(value, place)
    quarantined, place = reading.texts(value, place)
    acts, place = _read_group(value, place, _acts_from)
    marks, place = _read_group(value, place, _marks_from)
    opt_outs, place = _read_group(value, place, _opt_outs_from)
    lifted_opt_outs, place = _read_group(value, place, _opt_outs_from)
    permissions, place = _read_group(value, place, _permissions_from)
    circumstances, place = read_circumstances(value, place)
    if place != len(value):
        raise Unusual
    return SubjectState(
        subject=subject,
        position=Position(epoch, partition, offset),
        fold_version=fold_version,
        tightened_offset=tightened_offset,
        recent=recent,
        acts=acts,
        marks=marks,
        opt_outs=opt_outs,
        lifted_opt_outs=lifted_opt_outs,
        permissions=permissions,
        quarantined=quarantined,
        closed_at=closed_at,
        erased_at=erased_at,
        first_act_at=first_act_at,
        circumstances=circumstances,
    )


def _read_group(
    value: bytes, place: int, items_from: Callable[[bytes, Sequence[str]], tuple[Item, ...]]
) -> tuple[tuple[Item, ...], int]:
    if value[place : place + 2] == NO_ITEMS:
        return (), place + 2
    packed, place = reading.octets(value, place)
    texts, place = reading.texts(value, place)
    return items_from(packed, texts), place


def _acts_from(packed: bytes, column: Sequence[str]) -> tuple[Act, ...]:
    # Slices of the column rather than Texts.take: of a row of ten acts that is a seventh of the time. A slice beyond
    # the end is shorter, and raises nothing, so the end of the last tells.
    acts = []
    texts = tuple(column)
    end = 0
    for (
        event_id, status, role, expression, operations, informed, policy_version, occurred_at, recorded_at, offset,
        valid_until, data, recipients,
    ) in _ACT.iter_unpack(packed):  # fmt: skip
        start = end
        end_of_data = start + 2 + data
        end = end_of_data + recipients
        acts.append(
            Act(
                event_id=event_id,
                status=STATUSES[status],
                actor_role=ROLES[role],
                actor_id=texts[start],
                expression=EXPRESSIONS[expression],
                policy_version=policy_version,
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                offset=offset,
                valid_until=None if valid_until < 0 else valid_until,
                block=CellBlock(
                    texts[start + 1],
                    OPERATIONS_OF[operations],
                    texts[start + 2 : end_of_data],
                    texts[end_of_data:end] if recipients else (),
                ),
                informed=informed != 0,
            )
        )
    check_end(texts, end)
    return tuple(acts)


def _marks_from(packed: bytes, column: Sequence[str]) -> tuple[Mark, ...]:
    marks = []
    texts = tuple(column)
    end = 0
    for (
        event_id, status, role, operations, occurred_at, recorded_at, offset, data, recipients,
    ) in _MARK.iter_unpack(packed):  # fmt: skip
        start = end
        end_of_data = start + 3 + data
        end = end_of_data + recipients
        marks.append(
            Mark(
                event_id=event_id,
                status=STATUSES[status],
                actor_role=ROLES[role],
                actor_id=texts[start],
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                offset=offset,
                scene=texts[start + 1],
                scope=Scope(
                    texts[start + 2],
                    OPERATIONS_OF[operations],
                    texts[start + 3 : end_of_data],
                    texts[end_of_data:end],
                ),
            )
        )
    check_end(texts, end)
    return tuple(marks)


def _opt_outs_from(packed: bytes, column: Sequence[str]) -> tuple[OptOut, ...]:
    texts = Texts(column)
    opt_outs = []
    for event_id, role, recorded_at, offset in _OPT_OUT.iter_unpack(packed):
        actor_id, purpose = texts.take(2)
        opt_outs.append(
            OptOut(
                event_id=event_id,
                purpose=purpose,
                actor_role=ROLES[role],
                actor_id=actor_id,
                recorded_at=recorded_at,
                offset=offset,
            )
        )
    texts.end()
    return tuple(opt_outs)


def _permissions_from(packed: bytes, column: Sequence[str]) -> tuple[Permission, ...]:
    texts = Texts(column)
    permissions = []
    for event_id, state, recorded_at, offset, off_at in _PERMISSION.iter_unpack(packed):
        name, device = texts.take(2)
        permissions.append(
            Permission(
                event_id=event_id,
                name=name,
                device=device,
                state=PERMISSION_STATES[state],
                recorded_at=recorded_at,
                offset=offset,
                off_at=off_at,
            )
        )
    texts.end()
    return tuple(permissions)


def encode_watermark(watermark: Watermark) -> bytes:
    return write(
        "Watermark",
        {
            "log_id": watermark.log_id,
            "epoch": watermark.position.epoch,
            "partition": watermark.position.partition,
            "offset": watermark.position.offset,
            "record_hash": watermark.record_hash,
            "fold_version": watermark.fold_version,
            "complete_at": watermark.complete_at,
            "policy_offset": watermark.policy_offset,
            "tree": watermark.tree,
        },
    )


def _watermark_of(datum: dict[str, Any]) -> Watermark:
    position = Position(datum.pop("epoch"), datum.pop("partition"), datum.pop("offset"))
    return Watermark(position=position, **datum)


@cache
def _newest_header() -> bytes:
    return registry().newest["SubjectState"].header
