"""The events that stand in a row, by their ids: where and when each was recorded, and what it did. Pure."""

from collections.abc import Iterator

import msgspec

from consentry.state.row import NO_CIRCUMSTANCES, Circumstances, SubjectState
from streams.query.circumstances import id_of


class KnownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that an answer may name as its evidence."""

    event_id: str
    what: str
    """what it did, as in `given by guardian`"""
    position: str
    recorded_at: int


Found = tuple[bytes, str, int, int]
"""id, what, offset, recorded_at"""


def known_events(row: SubjectState) -> tuple[KnownEvent, ...]:
    """In log order, each once."""
    found = {entry[0]: entry for entry in (*_of_consent(row), *_of_facts(row.circumstances or NO_CIRCUMSTANCES))}
    return tuple(
        KnownEvent(
            event_id=id_of(event_id),
            what=what,
            position=str(row.position._replace(offset=offset)),
            recorded_at=recorded_at,
        )
        for event_id, what, offset, recorded_at in sorted(found.values(), key=lambda entry: entry[2])
    )


def _of_consent(row: SubjectState) -> Iterator[Found]:
    for act in row.acts:
        yield act.event_id, f"{act.status} by {act.actor_role}", act.offset, act.recorded_at
    for mark in row.marks:
        yield mark.event_id, f"{mark.status} by {mark.actor_role}", mark.offset, mark.recorded_at
    for opt_out in row.opt_outs:
        yield opt_out.event_id, f"opted out by {opt_out.actor_role}", opt_out.offset, opt_out.recorded_at
    for seen in row.permissions:
        yield seen.event_id, f"permission {seen.name} seen {seen.state}", seen.offset, seen.recorded_at


def _of_facts(facts: Circumstances) -> Iterator[Found]:
    for age in facts.ages:
        yield age.event_id, f"age said, {age.source}", age.offset, age.recorded_at
    for each in facts.guardianships:
        if each.verified_id:
            yield each.verified_id, "guardian verified", each.verified_offset, each.verified_at
    for accepted in facts.acceptances:
        what = f"version {accepted.policy_version} accepted by {accepted.actor_role}"
        yield accepted.event_id, what, accepted.offset, accepted.recorded_at
    for lift in facts.lifts:
        yield lift.event_id, f"opt-out lifted by {lift.actor_role}", lift.offset, lift.recorded_at
    for objection in facts.objections:
        yield objection.event_id, f"objected by {objection.actor_role}", objection.offset, objection.recorded_at
    for invoked in facts.invocations:
        yield invoked.event_id, f"exemption {invoked.code} invoked", invoked.offset, invoked.recorded_at
    for ended in facts.endings:
        yield ended.event_id, f"exemption {ended.code} ended", ended.offset, ended.recorded_at
