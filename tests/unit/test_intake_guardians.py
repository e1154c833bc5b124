"""Who may act as a guardian, by the rows that a door sees: a table, lists, limits, and a property over both."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.taking import (
    A_GUARDIAN,
    DAY_MS,
    GUARDIAN,
    IDENTITY,
    NOW,
    PEPPERED,
    SUBJECT,
    body_of,
    places,
    refused,
    take,
    take_all,
)

from consentry.errors import InvalidEvent
from consentry.intake import Caller, CallerRole, stored_subject
from consentry.partition import partition_of
from consentry.state.row import (
    MAX_GUARDIANSHIPS,
    MAX_INVOCATIONS,
    AgeStatement,
    Circumstances,
    Guardianship,
    Invocation,
    Scope,
    SubjectState,
)
from consentry.terms import AgeBand, AgeSource, Operation

EVERYONE = Caller("tests", frozenset(CallerRole))
UNLINKED = Guardianship(guardian=GUARDIAN, unlinked_at=NOW - DAY_MS, first_verified_at=1, first_verified_offset=1)
LINKED = Guardianship(guardian=GUARDIAN, linked_at=NOW - DAY_MS)
VERIFIED = msgspec.structs.replace(LINKED, verified_at=NOW - DAY_MS, verified_offset=3, first_verified_at=NOW - DAY_MS)

Rows = dict[str, SubjectState]


def row(*guardianships: Guardianship, subject: str = SUBJECT, **facts: Any) -> Rows:
    """A subject's row with these guardians."""
    state = SubjectState.unknown(subject, IDENTITY.epoch, partition_of(subject, IDENTITY.partitions))
    found = Circumstances(guardianships=guardianships, **facts)
    return {subject: msgspec.structs.replace(state, circumstances=found)}


def guardians_age(**said: Any) -> Rows:
    """The guardian's own row, in which this is said of its age."""
    statement = {"birth_date": None, "band": None, "source": AgeSource.DECLARED, **said}
    age = AgeStatement(
        event_id=b"a" * 16, may_raise=True, occurred_at=NOW - DAY_MS, recorded_at=NOW - DAY_MS, offset=1, **statement
    )
    return row(subject=GUARDIAN, ages=(age,))


def outcome(body: dict[str, Any], rows: Rows | None) -> str:
    """The code of the refusal, or `taken`."""
    try:
        take(body, rows=rows, caller=EVERYONE)
    except InvalidEvent as fault:
        return fault.code
    return "taken"


LOOSENING = [
    body_of("ConsentGiven", actor=A_GUARDIAN),
    body_of("ConsentReaffirmed", actor=A_GUARDIAN),
    body_of("PolicyAccepted", actor=A_GUARDIAN),
    body_of("PreferenceSet", actor=A_GUARDIAN, opted_out=False),
    body_of("AgeAsserted", actor=A_GUARDIAN, source="guardian"),
    body_of("AgeAsserted", actor=A_GUARDIAN, source="guardian", birth_date=..., age_band="child"),
]
TIGHTENING = [
    body_of("ConsentRefused", actor=A_GUARDIAN),
    body_of("ConsentWithdrawn", actor=A_GUARDIAN),
    body_of("PreferenceSet", actor=A_GUARDIAN, opted_out=True),
    body_of("PermissionObserved", actor=A_GUARDIAN, state="off"),
    body_of("RightsRequested", actor=A_GUARDIAN),
    body_of("GuardianUnlinked", actor=A_GUARDIAN),
]
NEITHER = [
    body_of("PreferenceSet", actor=A_GUARDIAN, topic="sport"),
    body_of("RightsRequested", actor=A_GUARDIAN, right="access", purpose=...),
    body_of("ConsentDeferred", actor=A_GUARDIAN),
]


def name_of(body: dict[str, Any]) -> str:
    return str(body["type"])


@pytest.mark.parametrize("body", LOOSENING, ids=name_of)
def test_a_guardian_loosens_only_once_verified(body: dict[str, Any]) -> None:
    assert outcome(body, row(VERIFIED)) == "taken"
    for rows in (row(LINKED), row(UNLINKED), row(), {}):
        assert outcome(body, rows) == "GUARDIAN_NOT_VERIFIED"
    fault = refused(body, rows=row(LINKED))
    assert (fault.status, places(fault)) == (403, ["/actor/id"])
    assert "?min_position=" in fault.problems[0].remedy


@pytest.mark.parametrize("body", TIGHTENING, ids=name_of)
def test_what_a_guardian_stops_is_taken_whatever_this_node_has_seen_of_the_link(body: dict[str, Any]) -> None:
    """The link may be in the log and not here yet; the fold knows, and a stranger's stop it leaves without effect."""
    for rows in (row(VERIFIED), row(LINKED), row(UNLINKED), row(), {}):
        assert outcome(body, rows) == "taken"


@pytest.mark.parametrize("body", NEITHER, ids=name_of)
def test_what_neither_tightens_nor_loosens_a_guardian_does_once_linked(body: dict[str, Any]) -> None:
    assert outcome(body, row(VERIFIED)) == outcome(body, row(LINKED)) == outcome(body, {}) == "taken"
    for rows in (row(UNLINKED), row()):
        assert outcome(body, rows) == "GUARDIAN_NOT_LINKED"
    fault = refused(body, rows=row())
    assert (fault.status, places(fault)) == (403, ["/actor/id"])


@pytest.mark.parametrize("body", LOOSENING, ids=name_of)
def test_a_verified_guardian_who_is_found_to_be_a_minor_loosens_nothing(body: dict[str, Any]) -> None:
    minors = [guardians_age(band=AgeBand.CHILD), guardians_age(band=AgeBand.MINOR), born("2015-03-01")]
    for rows in minors:
        fault = refused(body, rows=row(VERIFIED) | rows, caller=EVERYONE)
        assert (fault.status, fault.code, places(fault)) == (422, "GUARDIAN_IS_A_MINOR", ["/actor/id"])
    assert outcome(body, row(VERIFIED) | guardians_age(band=AgeBand.ADULT)) == "taken"


@pytest.mark.parametrize("body", TIGHTENING, ids=name_of)
def test_a_guardian_who_is_found_to_be_a_minor_still_stops(body: dict[str, Any]) -> None:
    assert outcome(body, row(VERIFIED) | guardians_age(band=AgeBand.CHILD)) == "taken"


@pytest.mark.parametrize("body", [*LOOSENING, *TIGHTENING, *NEITHER], ids=name_of)
def test_a_door_that_sees_no_rows_leaves_it_to_the_fold(body: dict[str, Any]) -> None:
    assert outcome(body, None) == "taken"


def test_another_guardian_of_the_subject_verifies_nobody_else() -> None:
    other = msgspec.structs.replace(VERIFIED, guardian="account:g-2")
    assert outcome(LOOSENING[0], row(other, LINKED)) == "GUARDIAN_NOT_VERIFIED"
    assert outcome(NEITHER[0], row(other)) == "GUARDIAN_NOT_LINKED"


def test_in_a_log_of_hashed_ids_the_guardian_is_found_by_the_hash() -> None:
    subject, guardian = stored_subject(SUBJECT, PEPPERED), stored_subject(GUARDIAN, PEPPERED)
    rows = row(msgspec.structs.replace(VERIFIED, guardian=guardian), subject=subject)
    take(LOOSENING[0], rows=rows, settings=PEPPERED)


def test_who_was_unlinked_may_repeat_the_unlinking() -> None:
    """Safe to repeat: the row knows the event, whatever came after it."""
    body = body_of("GuardianUnlinked", event_id=str(UUID(int=77)))
    rows: Rows = {}
    for sent in (body_of("GuardianLinked"), body):
        taken = take_all([sent, body_of("ConsentDeferred")], caller=EVERYONE, rows=rows)
        rows = after(rows, taken[0].event)
    assert outcome(body, rows) == "taken"


def after(rows: Rows, event: Any) -> Rows:
    from consentry.events import Recorded
    from consentry.state.fold import fold

    before = rows.get(SUBJECT) or row()[SUBJECT]
    position = before.position._replace(offset=before.position.offset + 1)
    return {SUBJECT: fold(before, Recorded(position, NOW, event))}


# lists


def link(**changes: Any) -> dict[str, Any]:
    return body_of("GuardianLinked", **changes)


def verify(**changes: Any) -> dict[str, Any]:
    return body_of("GuardianVerified", **changes)


def faults_of(bodies: list[dict[str, Any]], rows: Rows) -> list[str]:
    try:
        take_all(bodies, caller=EVERYONE, rows=rows)
    except InvalidEvent as fault:
        return places(fault)
    return []


def test_an_earlier_event_of_the_list_links_and_verifies() -> None:
    grant, feedback = LOOSENING[0], NEITHER[0]
    for rows in ({}, row()):
        assert faults_of([link(), feedback], rows) == []
        assert faults_of([link(), verify(), grant], rows) == []
        assert faults_of([link(), grant], rows) == ["/1/actor/id"]
        assert faults_of([grant, link(), verify()], rows) == ["/0/actor/id"]
    assert faults_of([verify(), grant], row(LINKED)) == []


def test_an_earlier_event_of_the_list_unlinks() -> None:
    unlink = body_of("GuardianUnlinked")
    assert faults_of([unlink, LOOSENING[0]], row(VERIFIED)) == ["/1/actor/id"]
    assert faults_of([unlink, NEITHER[0]], row(VERIFIED)) == ["/1/actor/id"]
    assert faults_of([LOOSENING[0], unlink], row(VERIFIED)) == []


def test_a_list_links_for_its_own_subject_alone() -> None:
    other = {"subject": "account:u-2", "actor": {"role": "subject", "id": "account:u-2"}}
    assert faults_of([link(**other), NEITHER[0]], row()) == ["/1/actor/id"]


def test_what_an_earlier_item_closed_takes_nothing_that_loosens() -> None:
    assert faults_of([body_of("AccountClosed"), body_of("ConsentGiven")], {}) == ["/1/subject"]


@given(
    st.lists(st.sampled_from(["link", "verify", "unlink", "grant", "refuse", "ask"]), min_size=1, max_size=8),
    st.sampled_from([None, UNLINKED, LINKED, VERIFIED]),
)
def test_a_list_is_judged_as_if_each_event_had_been_sent_and_folded_alone(
    kinds: list[str], start: Guardianship | None
) -> None:
    """A plain model of two booleans, beside the fold that the door runs."""
    bodies = {
        "link": link(occurred_at=NOW),
        "verify": verify(occurred_at=NOW + 1_000),
        "unlink": body_of("GuardianUnlinked", actor={"role": "controller", "id": "staff-7"}),
        "grant": LOOSENING[0],
        "refuse": TIGHTENING[0],
        "ask": NEITHER[1],
    }
    linked = start is not None and start.linked
    verified = start is not None and start.verified
    never_unlinked = True
    expected = []
    for index, kind in enumerate(kinds):
        place = f"/{index}/guardian" if kind == "verify" else f"/{index}/actor/id"
        if kind == "link":
            linked = linked or never_unlinked  # one that is no later than an unlinking revives nothing
        elif kind == "unlink":
            never_unlinked = never_unlinked and not linked
            linked = verified = False
        elif kind == "verify" and linked:
            verified = True
        elif kind != "refuse" and (not linked or (kind == "grant" and not verified)):
            expected.append(place)
    rows = row() if start is None else row(start)
    assert faults_of([bodies[kind] for kind in kinds], rows) == expected


# who may be a guardian


def test_who_is_known_to_be_a_minor_is_no_guardian() -> None:
    for rows in (guardians_age(band=AgeBand.MINOR), guardians_age(band=AgeBand.CHILD), born("2015-03-01")):
        for body in (link(), verify()):
            fault = refused(body, rows=rows | row(LINKED))
            assert (fault.status, fault.code, places(fault)) == (422, "GUARDIAN_IS_A_MINOR", ["/guardian"])


def test_who_is_of_age_or_of_whom_nobody_said_it_may_be_a_guardian() -> None:
    for rows in ({}, row(subject=GUARDIAN), guardians_age(band=AgeBand.ADULT), born("1980-03-01")):
        assert outcome(link(), rows | row()) == "taken"
        assert outcome(verify(), rows | row(LINKED)) == "taken"


def test_the_line_is_the_policys_and_its_day_counts() -> None:
    """NOW is 21 September 2026 in the policy's time zone."""
    assert outcome(link(), born("2008-09-21") | row()) == "taken"
    assert outcome(link(), born("2008-09-22") | row()) == "GUARDIAN_IS_A_MINOR"


def test_a_ward_is_no_guardian_though_nobody_said_an_age() -> None:
    ward = msgspec.structs.replace(VERIFIED, guardian="account:g-2")
    assert outcome(link(), row(ward, subject=GUARDIAN)) == "GUARDIAN_IS_A_MINOR"


def born(text: str) -> Rows:
    from datetime import date

    return guardians_age(birth_date=date.fromisoformat(text).toordinal())


# limits


def test_a_subject_has_sixteen_guardians_and_no_more() -> None:
    others = [Guardianship(guardian=f"account:other-{n}", linked_at=1) for n in range(MAX_GUARDIANSHIPS)]
    assert outcome(link(), row(*others[1:])) == "taken"
    fault = refused(link(), rows=row(*others))
    assert (fault.status, fault.code, places(fault)) == (422, "ROW_LIMIT", ["/guardian"])
    assert outcome(link(), row(UNLINKED, *others[1:])) == "taken"  # whom the row knows needs no room


def test_a_list_counts_the_guardians_that_it_links() -> None:
    others = [Guardianship(guardian=f"account:other-{n}", linked_at=1) for n in range(MAX_GUARDIANSHIPS - 1)]
    assert faults_of([link(), link(guardian="account:g-2")], row(*others)) == ["/1/guardian"]


def test_a_subject_has_sixty_four_exemptions_and_no_more() -> None:
    def invoked(count: int) -> Rows:
        scope = Scope(operations=(Operation.USE,), data=("phone",))
        one = Invocation(
            event_id=b"i" * 16,
            code="a",
            legal_ref="order",
            valid_until=NOW + DAY_MS,
            occurred_at=1,
            recorded_at=1,
            offset=1,
            scope=scope,
        )
        return row(invocations=(one,) * count)

    body = body_of("ExemptionInvoked")
    assert outcome(body, invoked(MAX_INVOCATIONS - 1)) == "taken"
    assert outcome(body, invoked(MAX_INVOCATIONS)) == "ROW_LIMIT"
    assert outcome(body_of("ExemptionEnded"), invoked(MAX_INVOCATIONS)) == "taken"


def test_an_exemption_is_invoked_for_what_comes() -> None:
    old = {"occurred_at": NOW - DAY_MS}
    assert places(refused(body_of("ExemptionInvoked", valid_until=NOW, **old))) == ["/valid_until"]
    take(body_of("ExemptionInvoked", valid_until=NOW + 1, **old))
    # measured by its arrival: what waited in a queue was invoked in time
    take(body_of("ExemptionInvoked", valid_until=NOW, **old), arrived_at=NOW - 1)
