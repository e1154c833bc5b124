"""What a row keeps of an event, whole; and what is left where two things become one."""

from uuid import UUID

import pytest
from unit.folding import COLLECT, MOTHER, NEARBY, OPERATOR, PERSON, SEPARATELY, SUBJECT, USE, Log
from unit.rows import row

from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    PolicyAccepted,
    PreferenceSet,
    Recorded,
    SubjectErased,
)
from consentry.state.fold import effect_of, fold, fold_or_quarantine
from consentry.state.grants import MAX_ACTS, checked_version, has_room
from consentry.state.knowledge import is_informed
from consentry.state.recent import Repeat, content_hash, repeat_of
from consentry.state.row import (
    MAX_ACCEPTANCES,
    MAX_CELLS,
    Act,
    CellBlock,
    Circumstances,
    Mark,
    Scope,
    SubjectState,
)
from consentry.terms import ActorRole, AgeBand, AgeSource, Effect, Expression, Position, Status

FATHER = Actor(role=ActorRole.GUARDIAN, id="account:bob")
STRANGER = Actor(role=ActorRole.SUBJECT, id="account:zoe")
GIVEN = {"event_id": bytes(15) + b"\1", "actor_role": ActorRole.SUBJECT, "actor_id": SUBJECT, "offset": 1}


def guarded(*guardians: Actor) -> Log:
    log = Log()
    for guardian in guardians:
        log.append(GuardianLinked, guardian=guardian.id, relation="parent", actor=OPERATOR)
        log.append(GuardianVerified, guardian=guardian.id, method="id card", actor=OPERATOR)
    return log


def facts(log: Log) -> Circumstances:
    return log.state.circumstances or Circumstances()


# Each part of what is kept


def test_of_a_question_the_row_keeps_who_asked_what_and_when_and_no_expression() -> None:
    state = Log().append(ConsentRequested, **NEARBY, policy_version=3, occurred_at=900)
    block = CellBlock("feed.nearby", (COLLECT, USE), ("gps", "wlan"))
    assert state.acts == (
        Act(
            **GIVEN, status=Status.REQUESTED, expression=None, policy_version=3, occurred_at=900, recorded_at=1_010,
            valid_until=None, block=block, informed=False,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "fields", "status", "scene"),
    [
        (ConsentWithdrawn, {}, Status.WITHDRAWN, ""),
        (ConsentRefused, {}, Status.REFUSED, ""),
        (ConsentRefused, {"scene": "map"}, Status.REFUSED, "map"),
    ],
)
def test_of_a_stop_the_row_keeps_who_stopped_what_when_and_in_which_scene(
    kind: type, fields: dict[str, object], status: Status, scene: str
) -> None:
    state = Log().append(kind, purpose="feed.nearby", operations=(USE,), occurred_at=900, **fields)
    scope = Scope("feed.nearby", (USE,))
    assert state.marks == (Mark(**GIVEN, status=status, occurred_at=900, recorded_at=1_010, scene=scene, scope=scope),)


def test_a_question_of_a_linked_guardian_is_kept() -> None:
    log = guarded(MOTHER)
    assert [act.actor_id for act in log.append(ConsentRequested, **NEARBY, policy_version=1, actor=MOTHER).acts] == [
        MOTHER.id
    ]


@pytest.mark.parametrize(
    ("actor", "first"), [(PERSON, 1_030), (MOTHER, 1_030), (FATHER, None), (STRANGER, None), (OPERATOR, None)]
)
def test_the_first_act_is_the_person_s_or_a_linked_guardian_s(actor: Actor, first: int | None) -> None:
    log = guarded(MOTHER)
    assert log.append(IdentityLinked, device="device:1", account=SUBJECT, actor=actor).first_act_at == first


def test_a_guardian_verified_anew_keeps_the_place_of_the_first_time() -> None:
    log = guarded(MOTHER)
    log.append(GuardianUnlinked, guardian=MOTHER.id, reason="moved", actor=OPERATOR)
    log.append(GuardianLinked, guardian=MOTHER.id, relation="parent", actor=OPERATOR)
    log.append(GuardianVerified, guardian=MOTHER.id, method="id card", actor=OPERATOR)
    (guardianship,) = facts(log).guardianships
    assert (guardianship.first_verified_offset, guardianship.verified_offset) == (2, 5)


def test_two_acceptances_of_the_person_at_one_moment_are_one() -> None:
    log = Log()
    for _ in range(2):
        log.append(PolicyAccepted, policy_version=2, occurred_at=900)
    assert [each.offset for each in facts(log).acceptances] == [2]


def test_beyond_64_acceptances_another_guardian_s_lower_version_is_not_the_one_forgotten() -> None:
    log = guarded(MOTHER, FATHER)
    log.append(PolicyAccepted, policy_version=1, actor=MOTHER)
    for version in range(2, MAX_ACCEPTANCES + 2):
        log.append(PolicyAccepted, policy_version=version, actor=FATHER)
    assert [each.policy_version for each in facts(log).acceptances] == [1, *range(3, MAX_ACCEPTANCES + 2)]


def test_of_a_grant_that_is_superseded_in_part_each_piece_is_kept() -> None:
    log = Log()
    log.append(ConsentWithdrawn, purpose="feed.nearby", operations=(USE,), data=("gps",))
    state = log.append(ConsentGiven, **NEARBY, **SEPARATELY, occurred_at=1_005)
    assert [act.block for act in state.acts] == [
        CellBlock("feed.nearby", (COLLECT,), ("gps", "wlan")),
        CellBlock("feed.nearby", (USE,), ("wlan",)),
    ]


# Reaffirmation


def test_a_reaffirmation_that_saw_the_last_tightening_needs_no_clock() -> None:
    log = Log()
    log.append(ConsentWithdrawn)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    seen = str(log.state.tightened_position)
    state = log.append(ConsentReaffirmed, **NEARBY, policy_version=2, occurred_at=1_025, expected_position=seen)
    assert [(act.policy_version, act.informed) for act in state.acts] == [(2, True)]


def test_a_reaffirmation_renews_each_cell_in_its_own_expression() -> None:
    log = Log()
    for datum, expression in (("gps", Expression.SEPARATE), ("wlan", Expression.EXPRESSED), ("ip", Expression.IMPLIED)):
        log.append(ConsentGiven, purpose="p", operations=(USE,), data=(datum,), policy_version=1, expression=expression)
    state = log.append(ConsentReaffirmed, purpose="p", operations=(USE,), data=("gps", "ip", "wlan"), policy_version=2)
    assert {(act.block.data, act.expression, act.policy_version) for act in state.acts} == {
        (("gps",), Expression.SEPARATE, 2),
        (("wlan",), Expression.EXPRESSED, 2),
        (("ip",), Expression.IMPLIED, 2),
    }


@pytest.mark.parametrize(
    ("place", "clock", "informed", "renewed"),
    [
        ("before", 1_015, False, False),
        ("before", 1_015, True, False),
        ("after", 1_025, False, False),
        ("after", 1_030, False, False),
        ("after", 1_031, False, True),
        ("after", 1_025, True, True),
    ],
)
def test_what_a_statement_of_age_may_have_voided_is_not_there_to_renew(
    place: str, clock: int, informed: bool, renewed: bool
) -> None:
    log = Log()

    def give() -> None:
        seen = str(log.state.tightened_position) if informed else None
        log.append(ConsentGiven, **NEARBY, **SEPARATELY, occurred_at=clock, expected_position=seen)

    log.append(ConsentWithdrawn, purpose="other")
    give() if place == "before" else log.append(IdentityLinked, device="device:1", account=SUBJECT)
    log.append(AgeAsserted, source=AgeSource.DECLARED, age_band=AgeBand.MINOR)
    if place == "after":
        give()
    state = log.append(ConsentReaffirmed, **NEARBY, policy_version=2)
    assert [act.policy_version for act in state.acts] == [2 if renewed else 1]


def test_a_grant_may_end_at_any_time_that_there_is() -> None:
    assert Log().append(ConsentGiven, **NEARBY, **SEPARATELY, valid_until=0).acts[0].valid_until == 0


# How much a row takes


@pytest.mark.parametrize(
    ("held", "asked", "fits"),
    [
        ((), (1, 512, 0), True),
        ((), (1, 513, 0), False),
        ((), (2, 128, 2), True),
        ((), (1, 100, 6), False),
        ((), (2, 1_000, 500), False),
        (((1, 512, 0),), (1, 512, 0), True),
        (((1, 512, 0),), (2, 1, 0), False),
        (((1, 1, 0),) * (MAX_ACTS - 1), (1, 1, 0), True),
        (((1, 1, 0),) * MAX_ACTS, (1, 1, 0), False),
    ],
    ids=str,
)
def test_a_row_has_room_for_512_cells_each_counted_once(
    held: tuple[tuple[int, int, int], ...], asked: tuple[int, int, int], fits: bool
) -> None:
    event = _event(_block(*asked))
    acts = tuple(
        Act(
            **GIVEN, status=Status.GIVEN, expression=Expression.SEPARATE, policy_version=1, occurred_at=1,
            recorded_at=1, valid_until=None, block=_block(*each),
        )
        for each in held
    )  # fmt: skip
    assert has_room(row(acts=acts), event) is fits


def _block(operations: int, data: int, recipients: int) -> CellBlock:
    return CellBlock(
        "p",
        (COLLECT, USE)[:operations],
        tuple(f"{number:04}" for number in range(data)),
        tuple(f"r{number:03}" for number in range(recipients)),
    )


def _event(block: CellBlock) -> ConsentGiven:
    log = Log()
    parts = {"operations": block.operations, "data": block.data, "recipients": block.recipients}
    log.append(ConsentGiven, purpose=block.purpose, **parts, **SEPARATELY)
    event = log.records[0].event
    assert isinstance(event, ConsentGiven)
    return event


@pytest.mark.parametrize("kind", [ConsentGiven, ConsentRequested])
@pytest.mark.parametrize(("cells", "kept"), [(MAX_CELLS, 1), (MAX_CELLS + 1, 0)])
def test_one_event_may_name_512_cells(kind: type, cells: int, kept: int) -> None:
    block = _block(1, cells, 0)
    fields = SEPARATELY if kind is ConsentGiven else {"policy_version": 1}
    state = Log().append(kind, purpose="p", operations=block.operations, data=block.data, **fields)
    assert len(state.acts) == kept


def test_any_version_that_a_row_can_hold_is_one() -> None:
    assert [checked_version(version) for version in (0, 1, 2**31 - 1)] == [0, 1, 2**31 - 1]


def test_who_saw_the_tightening_at_the_very_first_place_is_informed() -> None:
    state = SubjectState(subject=SUBJECT, position=Position(1, 3, 5), tightened_offset=0)
    assert is_informed(state, "e1.p3.o0")
    assert not is_informed(SubjectState.unknown(SUBJECT, 1, 3), "e1.p3.o-1")


# What an event did, where it changed little


def test_a_stop_of_nobody_s_guardian_tightens_and_changes_nothing() -> None:
    log = Log()
    before = log.state
    after = log.append(ConsentWithdrawn, actor=MOTHER)
    assert after.tightened_offset != before.tightened_offset
    assert effect_of(before, after, log.records[-1]) is Effect.UNCHANGED


def test_a_record_that_comes_again_has_changed_nothing_of_a_closed_account() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    closed = log.append(AccountClosed, identity_verified=True, method="id card")
    again = Recorded(closed.position, 1_020, log.records[0].event)
    assert effect_of(closed, fold(closed, again), again) is Effect.UNCHANGED


def test_who_was_closed_and_erased_is_not_erased_again() -> None:
    log = Log()
    log.append(AccountClosed, identity_verified=True, method="id card")
    erased = log.append(SubjectErased, request=UUID(int=9), actor=OPERATOR)
    assert log.append(SubjectErased, request=UUID(int=10), actor=OPERATOR) is erased


def test_a_fault_is_told_by_its_kind_and_its_words() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    _, fault = fold_or_quarantine(SubjectState.unknown("account:bob", 1, 3), log.records[0])
    assert fault is not None
    assert fault.startswith("ConsentryError: ")


def test_a_record_that_was_set_aside_and_comes_again_is_no_fault_any_more() -> None:
    log = Log()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    aside, _ = fold_or_quarantine(SubjectState.unknown("account:bob", 1, 3), log.records[0])
    assert fold_or_quarantine(aside, log.records[0]) == (aside, None)


# The last events


ID, OTHER = bytes(16), bytes(range(1, 17))
ONE, TWO, THREE = b"content1", b"content2", b"content3"


@pytest.mark.parametrize(
    ("recent", "known"),
    [
        (b"", Repeat.NEW),
        (OTHER + ONE, Repeat.NEW),
        (ID + ONE, Repeat.SAME),
        (ID + TWO, Repeat.OTHER_CONTENT),
        (ID + TWO + OTHER + ONE, Repeat.OTHER_CONTENT),
        (ID + TWO + ID + ONE + ID + THREE, Repeat.SAME),
        (ID + TWO + OTHER + TWO + ID + ONE, Repeat.SAME),
        (OTHER + b"content\0" + ID + ONE, Repeat.SAME),
        (OTHER + b"content\0" + ID + ONE + ID + TWO, Repeat.SAME),
        (OTHER + b"\0content" + OTHER[:15] + b"\0" + bytes(8) + bytes(7) + OTHER[:9] + ONE, Repeat.NEW),
    ],
)
def test_a_repeated_event_is_known_by_its_id_at_the_place_of_one_and_by_its_content(
    recent: bytes, known: Repeat
) -> None:
    assert repeat_of(recent, ID, ONE) is known


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(ConsentGiven, {**NEARBY, **SEPARATELY}), (PreferenceSet, {"purpose": "p", "opted_out": True})],
)
def test_the_position_that_intake_filled_in_is_no_content(kind: type, fields: dict[str, object]) -> None:
    log = Log()
    for position in (None, "e1.p3.o5"):
        log.append(kind, number=7, occurred_at=900, expected_position=position, **fields)
    first, again = (content_hash(recorded.event) for recorded in log.records)
    assert first == again
    assert log.state.position.offset == 1


def test_when_it_was_sent_is_no_content() -> None:
    log = Log()
    for sent_at in (1_000, 2_000, None):
        log.append(ConsentWithdrawn, number=7, occurred_at=900, sent_at=sent_at)
    assert len({content_hash(recorded.event) for recorded in log.records}) == 1
    assert log.state.position.offset == 1
