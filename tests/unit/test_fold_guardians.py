"""Rule 4: guardians. Who is linked and verified stands in the log; what an age makes of it, `decide` sees."""

import pytest
from unit.folding import COLLECT, GPS, MOTHER, NEARBY, OPERATOR, PERSON, SEPARATELY, SUBJECT, Log, status, substance
from unit.reading import stand_in

from consentry.events import (
    Actor,
    ConsentGiven,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    PolicyAccepted,
    PreferenceSet,
    RightsRequested,
)
from consentry.state.fold import effect_of
from consentry.state.row import (
    COUNTS_ALWAYS,
    MAX_ACCEPTANCES,
    MAX_GUARDIANSHIPS,
    MAX_MARKS,
    Circumstances,
    Guardianship,
)
from consentry.terms import ActorRole, Effect, Right, Status

FATHER = Actor(role=ActorRole.GUARDIAN, id="account:bob")
CITY = {"purpose": "feed.city"}
EXEMPTION = {"code": "c", "operations": (COLLECT,), "data": ("gps",), "legal_ref": "law", "approver": "b"}


def link(log: Log, guardian: Actor = MOTHER, **fields: object) -> None:
    log.append(GuardianLinked, guardian=guardian.id, relation="parent", actor=OPERATOR, **fields)


def verify(log: Log, guardian: Actor = MOTHER, **fields: object) -> int:
    log.append(GuardianVerified, guardian=guardian.id, method="id card", actor=OPERATOR, **fields)
    return log.records[-1].recorded_at


def unlink(log: Log, guardian: Actor = MOTHER, **fields: object) -> int:
    log.append(GuardianUnlinked, guardian=guardian.id, reason="moved", actor=OPERATOR, **fields)
    return log.records[-1].recorded_at


def guarded(*guardians: Actor) -> Log:
    log = Log()
    for guardian in guardians or (MOTHER,):
        link(log, guardian)
        verify(log, guardian)
    return log


def facts(log: Log) -> Circumstances:
    return log.state.circumstances or Circumstances()


def guardianship(log: Log) -> Guardianship:
    return facts(log).guardianships[0]


# Linking, verifying, unlinking


def test_a_guardian_is_linked_then_verified_then_unlinked() -> None:
    log = Log()
    link(log)
    assert guardianship(log).linked
    assert not guardianship(log).verified
    verified_at = verify(log)
    assert guardianship(log).verified_at == guardianship(log).first_verified_at == verified_at
    unlinked_at = unlink(log)
    assert not guardianship(log).linked
    assert not guardianship(log).verified
    assert (guardianship(log).unlinked_at, guardianship(log).first_verified_at) == (unlinked_at, verified_at)


def test_who_is_not_linked_cannot_be_verified() -> None:
    log = Log()
    verify(log)
    assert log.state.circumstances is None


def test_who_was_unlinked_has_to_be_linked_anew_to_be_verified() -> None:
    log = guarded()
    unlink(log)
    verify(log)
    assert not guardianship(log).verified


def test_linking_verifying_and_unlinking_again_change_nothing() -> None:
    log = guarded()
    before = substance(log.state)
    link(log)
    verify(log)
    assert substance(log.state) == before
    unlink(log)
    before = substance(log.state)
    unlink(log)
    assert substance(log.state) == before


def test_nobody_is_their_own_guardian() -> None:
    log = Log()
    log.append(GuardianLinked, guardian=SUBJECT, relation="self", actor=OPERATOR)
    assert log.state.circumstances is None


@pytest.mark.parametrize(("clock", "counts"), [(0, False), (1, True)])
def test_a_link_or_a_verification_older_than_the_unlinking_does_not_count(clock: int, counts: bool) -> None:
    log = guarded()
    unlinked_at = unlink(log)
    link(log, occurred_at=unlinked_at + clock)
    assert guardianship(log).linked is counts
    log = guarded()
    unlinked_at = unlink(log)
    link(log)
    verify(log, occurred_at=unlinked_at + clock)
    assert guardianship(log).verified is counts


@pytest.mark.parametrize(("ahead", "counts"), [(300_000, True), (300_001, False)])
def test_a_verification_far_ahead_of_the_log_has_no_effect(ahead: int, counts: bool) -> None:
    log = Log()
    link(log)
    verify(log, occurred_at=1_020 + ahead)
    assert guardianship(log).verified is counts


def test_verified_anew_is_verified_since_then_and_was_first_verified_before() -> None:
    log = guarded()
    first = guardianship(log).first_verified_at
    unlink(log)
    link(log)
    again = verify(log)
    assert (guardianship(log).verified_at, guardianship(log).first_verified_at) == (again, first)
    assert first < again


def test_a_seventeenth_guardian_is_not_linked() -> None:
    log = Log()
    for number in range(MAX_GUARDIANSHIPS + 1):
        link(log, Actor(role=ActorRole.GUARDIAN, id=f"account:g{number}"))
    assert len(facts(log).guardianships) == MAX_GUARDIANSHIPS


# What a guardian loosens


def test_a_verified_guardian_s_grant_stands_beside_the_ward_s_own() -> None:
    log = guarded()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER)
    assert [act.actor_id for act in log.state.acts] == [SUBJECT, MOTHER.id]


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_grant_of_an_unverified_guardian_is_superseded_for_ever(is_linked: bool) -> None:
    log = Log()
    if is_linked:
        link(log)
    before = log.state
    after = log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER)
    assert effect_of(before, after, log.records[-1]) is Effect.SUPERSEDED
    link(log)
    verify(log)
    assert not log.state.acts


@pytest.mark.parametrize(("clock", "counts"), [(-1, False), (0, True)])
def test_verifying_later_does_not_back_date(clock: int, counts: bool) -> None:
    log = Log()
    link(log)
    verified_at = verify(log)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER, occurred_at=verified_at + clock)
    log.append(PolicyAccepted, policy_version=1, actor=MOTHER, occurred_at=verified_at + clock)
    assert bool(log.state.acts) is counts
    assert bool(facts(log).acceptances) is counts


def test_a_guardian_has_to_know_of_what_the_ward_stopped() -> None:
    log = guarded()
    withdrawn = log.append(ConsentWithdrawn)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER, occurred_at=log.records[-1].recorded_at)
    assert not log.state.acts
    seen = str(withdrawn.tightened_position)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER, occurred_at=1_025, expected_position=seen)
    assert status(log.state) is Status.GIVEN


def test_a_guardian_renews_only_what_that_guardian_granted() -> None:
    log = guarded(MOTHER, FATHER)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER)
    log.append(ConsentReaffirmed, **NEARBY, policy_version=2, actor=FATHER)
    assert {act.policy_version for act in log.state.acts} == {1}
    log.append(ConsentReaffirmed, **NEARBY, policy_version=2, actor=MOTHER)
    assert {act.policy_version for act in log.state.acts} == {2}


@pytest.mark.parametrize("position", ["seen", "missed", None])
def test_a_grant_says_whether_it_had_seen_the_last_tightening(position: str | None) -> None:
    log = Log()
    tightened = log.append(ConsentRefused, purpose="partner.ads").tightened_position
    expected = {"seen": str(tightened), "missed": "e1.p3.o7", None: None}[position]
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, expected_position=expected)
    assert [act.informed for act in log.state.acts] == [position == "seen"]


def test_a_grant_sent_again_with_the_position_that_intake_filled_in_is_the_same_event() -> None:
    log = guarded()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, number=99, occurred_at=1_025, actor=MOTHER)
    before = log.state
    again = {"number": 99, "occurred_at": 1_025, "expected_position": "e1.p3.o1", "actor": MOTHER}
    assert log.append(ConsentGiven, **NEARBY, **SEPARATELY, **again) is before


def test_unlinking_takes_out_what_the_guardian_granted_asked_and_accepted_and_relinking_revives_nothing() -> None:
    log = guarded(MOTHER, FATHER)
    log.append(PreferenceSet, **CITY, opted_out=True)
    for actor in (MOTHER, FATHER):
        log.append(PreferenceSet, **CITY, opted_out=False, actor=actor)
        log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=actor)
        log.append(PolicyAccepted, policy_version=1, actor=actor)
    log.append(ConsentRequested, purpose="ads", operations=(COLLECT,), data=("x",), policy_version=1, actor=MOTHER)
    unlink(log)
    link(log)
    verify(log)
    left = (*log.state.acts, *facts(log).acceptances, *facts(log).lifts)
    assert [entry.actor_id for entry in left] == [FATHER.id] * 3


def test_a_question_of_a_guardian_who_is_not_linked_is_not_kept() -> None:
    log = Log()
    assert not log.append(ConsentRequested, **NEARBY, policy_version=1, actor=MOTHER).acts


# What a guardian stops


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_guardian_s_stop_counts_if_linked_verified_or_not(is_linked: bool) -> None:
    log = Log()
    if is_linked:
        link(log)
    log.append(ConsentWithdrawn, actor=MOTHER)
    log.append(PreferenceSet, **CITY, opted_out=True, actor=MOTHER)
    log.append(RightsRequested, right=Right.OBJECTION, actor=MOTHER)
    assert [bool(log.state.marks), bool(log.state.opt_outs), bool(facts(log).objections)] == [is_linked] * 3


def test_a_stop_without_effect_is_a_tightening_all_the_same() -> None:
    log = Log()
    assert log.append(ConsentWithdrawn, actor=MOTHER).tightened_position == log.records[-1].position


@pytest.mark.parametrize(
    ("kind", "fields", "tightens"),
    [
        (GuardianUnlinked, {"guardian": MOTHER.id, "reason": "moved"}, True),
        (ExemptionEnded, {**EXEMPTION}, True),
        (RightsRequested, {"right": Right.OBJECTION}, True),
        (RightsRequested, {"right": Right.ACCESS}, False),
        (GuardianLinked, {"guardian": MOTHER.id, "relation": "mother"}, False),
        (GuardianVerified, {"guardian": MOTHER.id, "method": "id card"}, False),
        (ExemptionInvoked, {**EXEMPTION, "valid_until": 9_000}, False),
        (PolicyAccepted, {"policy_version": 1}, False),
    ],
)
def test_what_tightens_does_so_by_its_type(kind: type, fields: dict[str, object], tightens: bool) -> None:
    assert (Log().append(kind, **fields).tightened_position is not None) is tightens


def test_what_a_guardian_stopped_stays_when_the_guardian_is_unlinked() -> None:
    log = guarded()
    log.append(ConsentWithdrawn, actor=MOTHER)
    log.append(PreferenceSet, **CITY, opted_out=True, actor=MOTHER)
    log.append(RightsRequested, right=Right.OBJECTION, actor=MOTHER)
    unlink(log)
    assert log.state.marks
    assert log.state.opt_outs
    assert facts(log).objections


def test_a_guardian_s_stop_ends_both_halves() -> None:
    log = guarded()
    log.append(ConsentGiven, **NEARBY, **SEPARATELY)
    log.append(ConsentGiven, **NEARBY, **SEPARATELY, actor=MOTHER)
    log.append(ConsentWithdrawn, actor=MOTHER)
    assert stand_in(log.state, GPS).status is Status.WITHDRAWN


def test_a_later_mark_of_a_guardian_drops_no_former_one_for_the_later_may_count_for_nothing() -> None:
    log = guarded()
    log.append(ConsentWithdrawn, purpose="feed.nearby", actor=MOTHER)
    log.append(ConsentWithdrawn, actor=MOTHER)
    assert len(log.state.marks) == 2


def test_beyond_64_a_guardian_s_marks_are_joined_and_count_whatever_the_ages_say() -> None:
    log = guarded()
    for number in range(MAX_MARKS + 1):
        log.append(ConsentWithdrawn, actor=MOTHER, occurred_at=1_000 - number)
    assert len(log.state.marks) == MAX_MARKS
    joined, *rest = log.state.marks
    assert (joined.occurred_at, joined.offset) == (COUNTS_ALWAYS, 4)
    assert [mark.occurred_at for mark in rest] == list(range(998, 1_000 - MAX_MARKS - 1, -1))


# Opt-outs and who lifts them


def test_a_guardian_s_word_about_an_opt_out_is_kept_as_a_lift_and_the_opt_out_stays() -> None:
    log = guarded()
    log.append(PreferenceSet, **CITY, opted_out=True)
    log.append(PreferenceSet, **CITY, opted_out=False, actor=MOTHER)
    assert log.state.opt_outs
    assert [(lift.actor_id, lift.purpose) for lift in facts(log).lifts] == [(MOTHER.id, "feed.city")]


def test_the_ward_lifts_its_own_at_once_and_a_guardian_s_perhaps() -> None:
    log = guarded()
    log.append(PreferenceSet, **CITY, opted_out=True)
    log.append(PreferenceSet, **CITY, opted_out=True, actor=MOTHER)
    log.append(PreferenceSet, **CITY, opted_out=False)
    assert [opt_out.actor_id for opt_out in log.state.opt_outs] == [MOTHER.id]
    assert [lift.actor_id for lift in facts(log).lifts] == [SUBJECT]


@pytest.mark.parametrize(
    "fields",
    [
        {"occurred_at": 1_030},
        {"expected_position": "e1.p3.o2"},
        {"occurred_at": 10**9},
        {"actor": FATHER},
    ],
    ids=["older than the opt-out", "misinformed", "far ahead", "not verified"],
)
def test_who_cannot_know_or_may_not_lifts_nothing(fields: dict[str, object]) -> None:
    log = guarded()
    log.append(PreferenceSet, **CITY, opted_out=True)
    before = log.state
    after = log.append(PreferenceSet, **{**CITY, "opted_out": False, "actor": MOTHER, **fields})
    assert not facts(log).lifts
    assert effect_of(before, after, log.records[-1]) is Effect.SUPERSEDED


def test_a_lift_goes_when_nothing_is_left_that_it_could_lift() -> None:
    log = guarded()
    log.append(PreferenceSet, **CITY, opted_out=True)
    log.append(PreferenceSet, **CITY, opted_out=False, actor=MOTHER)
    log.append(PreferenceSet, **CITY, opted_out=True)
    assert not facts(log).lifts


def test_of_a_guardian_s_opt_outs_the_earliest_are_one_that_always_counts_and_of_lifts_the_last_four_stay() -> None:
    log = guarded()
    for _ in range(7):
        log.append(PreferenceSet, **CITY, opted_out=True, actor=MOTHER)
        log.append(PreferenceSet, **CITY, opted_out=False, actor=MOTHER)
    assert [opt_out.offset for opt_out in log.state.opt_outs] == [9, 11, 13, 15]
    assert [opt_out.actor_role for opt_out in log.state.opt_outs] == [ActorRole.SYSTEM, *[ActorRole.GUARDIAN] * 3]
    assert [lift.offset for lift in facts(log).lifts] == [10, 12, 14, 16]


# Acceptances, and the first act


def test_the_person_s_acceptance_of_a_version_counts_once_and_a_guardian_s_each_time() -> None:
    log = guarded()
    for actor in (PERSON, MOTHER, PERSON, MOTHER):
        log.append(PolicyAccepted, policy_version=2, actor=actor)
    assert [each.actor_id for each in facts(log).acceptances] == [MOTHER.id, SUBJECT, MOTHER.id]


def test_nobody_but_the_person_and_a_guardian_accepts() -> None:
    log = Log()
    for actor in (OPERATOR, Actor(role=ActorRole.SUBJECT, id="account:zoe"), MOTHER):
        log.append(PolicyAccepted, policy_version=1, actor=actor)
    log.append(PolicyAccepted, policy_version=1, occurred_at=10**9)
    assert log.state.circumstances is None


def test_beyond_64_acceptances_the_lowest_version_of_who_accepts_is_forgotten() -> None:
    log = guarded()
    log.append(PolicyAccepted, policy_version=1)
    for version in range(1, MAX_ACCEPTANCES + 1):
        log.append(PolicyAccepted, policy_version=version, actor=MOTHER)
    kept = facts(log).acceptances
    assert len(kept) == MAX_ACCEPTANCES
    assert (kept[0].actor_id, kept[0].policy_version) == (SUBJECT, 1)
    assert [each.policy_version for each in kept[1:]] == list(range(2, MAX_ACCEPTANCES + 1))


def test_the_first_act_is_the_earliest_by_the_clock_of_the_person_or_of_a_linked_guardian() -> None:
    log = Log()
    link(log)
    assert log.append(ConsentWithdrawn, actor=FATHER).first_act_at is None
    assert log.append(ConsentWithdrawn, actor=MOTHER, occurred_at=900).first_act_at == 900
    assert log.append(ConsentGiven, **NEARBY, **SEPARATELY, occurred_at=800).first_act_at == 800
    assert log.append(ConsentGiven, **NEARBY, **SEPARATELY, occurred_at=10**9).first_act_at == 800
