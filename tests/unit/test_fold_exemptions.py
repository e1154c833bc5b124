"""Ages, objections and exemptions: what the row keeps of them, and within which limits."""

from uuid import UUID

import pytest
from unit.folding import COLLECT, GPS, MOTHER, OPERATOR, SEPARATELY, STORE, SUBJECT, USE, Log
from unit.reading import exemptions_in

from consentry.errors import ConsentryError
from consentry.events import (
    Actor,
    AgeAsserted,
    ConsentGiven,
    ConsentWithdrawn,
    ExemptionEnded,
    ExemptionInvoked,
    GuardianLinked,
    GuardianVerified,
    PolicyAccepted,
    PreferenceSet,
    RightsRequested,
    RightsResolved,
)
from consentry.state.exemptions import MAX_INVOCATION_TEXT
from consentry.state.fold import effect_of, fold_or_quarantine
from consentry.state.row import (
    COUNTS_ALWAYS,
    MAX_AGE_STATEMENTS,
    MAX_ENDINGS,
    MAX_INVOCATIONS,
    MAX_OBJECTIONS,
    AgeStatement,
    Circumstances,
)
from consentry.terms import ActorRole, AgeBand, AgeSource, Cell, Effect, Outcome, Right

ORDER = {"code": "c", "legal_ref": "court order 7", "approver": "operator-2", "actor": OPERATOR}
USE_GPS = {"operations": (USE,), "data": ("gps",)}


def facts(log: Log) -> Circumstances:
    return log.state.circumstances or Circumstances()


def invoke(log: Log, **fields: object) -> None:
    log.append(ExemptionInvoked, **{**ORDER, **USE_GPS, "valid_until": 9_000, **fields})


def end(log: Log, **fields: object) -> None:
    log.append(ExemptionEnded, **{**ORDER, **USE_GPS, **fields})


def say(log: Log, band: AgeBand | None = None, **fields: object) -> AgeStatement:
    log.append(AgeAsserted, **{"source": AgeSource.DECLARED, "age_band": band, **fields})
    return facts(log).ages[-1]


# Ages


def test_a_birth_date_is_kept_in_days_and_a_band_as_said() -> None:
    log = Log()
    assert say(log, birth_date="0001-01-02").birth_date == 2
    assert (say(log, AgeBand.MINOR).birth_date, say(log, AgeBand.MINOR).band) == (None, AgeBand.MINOR)


@pytest.mark.parametrize("text", ["2010-02-30", "20100203", "2010-W05-3", "2010-2-3", "", "twelve"])
def test_a_birth_date_that_is_none_denies(text: str) -> None:
    log = Log()
    log.append(RightsRequested, right=Right.ACCESS)
    with pytest.raises(ConsentryError):
        log.append(AgeAsserted, source=AgeSource.DECLARED, birth_date=text)
    assert fold_or_quarantine(log.state, log.records[-1])[0].quarantined == ("consent-events-3@2",)


@pytest.mark.parametrize("said", [{}, {"birth_date": "2010-02-03", "age_band": AgeBand.CHILD}])
def test_an_age_is_a_birth_date_or_a_band(said: dict[str, object]) -> None:
    with pytest.raises(ConsentryError):
        Log().append(AgeAsserted, source=AgeSource.DECLARED, **said)


@pytest.mark.parametrize(("ahead", "may_raise"), [(300_000, True), (300_001, False)])
def test_an_age_far_ahead_of_the_log_can_only_lower(ahead: int, may_raise: bool) -> None:
    log = Log()
    assert say(log, AgeBand.ADULT, recorded_at=1_010, occurred_at=1_010 + ahead).may_raise is may_raise


def test_a_guardian_s_word_on_the_age_raises_it_only_if_that_guardian_is_verified() -> None:
    log = Log()
    by_mother = {"source": AgeSource.GUARDIAN, "actor": MOTHER}
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=OPERATOR)
    assert not say(log, AgeBand.MINOR, **by_mother).may_raise
    log.append(GuardianVerified, guardian=MOTHER.id, method="id card", actor=OPERATOR)
    assert say(log, AgeBand.MINOR, **by_mother).may_raise
    stranger = Actor(role=ActorRole.GUARDIAN, id="account:zoe")
    for other in (stranger, Actor(role=ActorRole.SYSTEM, id=MOTHER.id)):
        assert not say(log, AgeBand.MINOR, source=AgeSource.GUARDIAN, actor=other).may_raise


@pytest.mark.parametrize(
    ("fields", "tightens"),
    [({"age_band": AgeBand.ADULT}, False), ({"age_band": AgeBand.MINOR}, True), ({"birth_date": "1950-01-01"}, True)],
)
def test_every_age_tightens_by_its_type_but_the_band_of_an_adult(fields: dict[str, object], tightens: bool) -> None:
    assert (Log().append(AgeAsserted, source=AgeSource.VERIFIED, **fields).tightened_position is not None) is tightens


@pytest.mark.parametrize("band", [AgeBand.ADULT, AgeBand.MINOR])
def test_beyond_32_what_only_raises_and_what_repeats_the_last_statement_has_no_effect(band: AgeBand) -> None:
    log = Log()
    for number in range(MAX_AGE_STATEMENTS):
        say(log, AgeBand.MINOR if number % 2 else AgeBand.CHILD)
    before = facts(log).ages
    say(log, band, source=AgeSource.DECLARED)
    assert facts(log).ages == before


def test_beyond_32_what_may_lower_the_age_makes_a_child_of_whom_nothing_loosened_is_left() -> None:
    log = Log()
    log.append(GuardianLinked, guardian=MOTHER.id, relation="mother", actor=MOTHER)
    log.append(GuardianVerified, guardian=MOTHER.id, method="id", actor=OPERATOR)
    log.append(PolicyAccepted, policy_version=1, actor=MOTHER)
    log.append(ConsentGiven, purpose="feed.nearby", operations=(USE,), data=("gps",), **SEPARATELY)
    log.append(ConsentWithdrawn, purpose="feed.city", actor=MOTHER)
    log.append(ConsentWithdrawn, purpose="feed.city", occurred_at=900)
    log.append(PreferenceSet, purpose="feed.city", opted_out=True)
    log.append(PreferenceSet, purpose="feed.city", opted_out=True, actor=MOTHER)
    log.append(PreferenceSet, purpose="feed.city", opted_out=False, actor=MOTHER)
    assert facts(log).lifts
    for number in range(MAX_AGE_STATEMENTS):
        say(log, AgeBand.MINOR if number % 2 else AgeBand.ADULT)
    child = say(log, birth_date="2001-01-01", source=AgeSource.INFERRED)
    assert facts(log).ages == (child,)
    assert (child.band, child.birth_date, child.source) == (AgeBand.CHILD, None, AgeSource.VERIFIED)
    assert child.may_raise is False
    assert (log.state.acts, facts(log).acceptances, facts(log).lifts) == ((), (), ())
    assert [mark.occurred_at for mark in log.state.marks] == [COUNTS_ALWAYS, 900]
    assert [opt_out.actor_role for opt_out in log.state.opt_outs] == [ActorRole.SUBJECT, ActorRole.SYSTEM]
    assert log.state.tightened_offset == log.state.position.offset
    assert say(log, birth_date="1990-01-01", source=AgeSource.VERIFIED).may_raise


def test_beyond_32_what_an_earlier_statement_but_not_the_last_one_said_counts() -> None:
    log = Log()
    for number in range(MAX_AGE_STATEMENTS):
        say(log, AgeBand.MINOR if number == 1 else AgeBand.CHILD)
    child = say(log, AgeBand.MINOR)
    assert facts(log).ages == (child,)


# Objections


def test_an_objection_stands_until_it_is_rejected() -> None:
    log = Log()
    log.append(RightsRequested, right=Right.OBJECTION, purpose="feed.city")
    log.append(RightsRequested, right=Right.ACCESS)
    log.append(RightsResolved, request=UUID(int=1), outcome=Outcome.GRANTED, reason="agreed", actor=OPERATOR)
    log.append(RightsResolved, request=UUID(int=2), outcome=Outcome.REJECTED, reason="no", actor=OPERATOR)
    assert [objection.scope.purpose for objection in facts(log).objections] == ["feed.city"]
    log.append(RightsResolved, request=UUID(int=1), outcome=Outcome.REJECTED, reason="no", actor=OPERATOR)
    assert log.state.circumstances is None


def test_beyond_32_the_two_oldest_objections_are_one_that_no_rejection_ends() -> None:
    log = Log()
    for number in range(MAX_OBJECTIONS + 1):
        log.append(RightsRequested, right=Right.OBJECTION, purpose="feed.city", data=(f"d{number:02}",))
    for request in (1, 2):
        log.append(RightsResolved, request=UUID(int=request), outcome=Outcome.REJECTED, reason="no", actor=OPERATOR)
    assert len(facts(log).objections) == MAX_OBJECTIONS
    assert facts(log).objections[0].scope.data == ("d00", "d01")


# Exemptions


def test_an_exemption_stands_until_it_is_ended() -> None:
    log = Log()
    invoke(log)
    assert exemptions_in(log.state, Cell("feed.nearby", USE, "gps")) == {1}
    end(log)
    assert not facts(log).invocations


def test_the_end_of_another_code_ends_nothing() -> None:
    log = Log()
    invoke(log)
    end(log, code="d")
    assert facts(log).invocations


def test_an_exemption_is_ended_cell_by_cell_and_only_by_its_code() -> None:
    log = Log()
    invoke(log, operations=(COLLECT, USE), data=("gps", "wlan"))
    end(log, code="d")
    end(log, operations=(COLLECT,), purpose="feed.nearby")
    assert not exemptions_in(log.state, GPS)
    for cell in (GPS._replace(purpose="feed.city"), GPS._replace(data="wlan"), GPS._replace(operation=USE)):
        assert exemptions_in(log.state, cell) == {1}


@pytest.mark.parametrize(("clock", "stands"), [(0, False), (1, True)])
def test_an_exemption_invoked_before_it_was_ended_and_late_is_over(clock: int, stands: bool) -> None:
    log = Log()
    end(log)
    invoke(log, occurred_at=log.records[-1].recorded_at + clock)
    assert bool(facts(log).invocations) is stands


@pytest.mark.parametrize(("ahead", "counts"), [(300_000, True), (300_001, False)])
def test_an_exemption_far_ahead_of_the_log_has_no_effect(ahead: int, counts: bool) -> None:
    log = Log()
    before = log.state
    invoke(log, occurred_at=1_010 + ahead)
    assert bool(facts(log).invocations) is counts
    assert effect_of(before, log.state, log.records[-1]) is (Effect.APPLIED if counts else Effect.SUPERSEDED)


@pytest.mark.parametrize("part", ["operations", "data"])
def test_an_exemption_that_names_nothing_is_not_one_for_everything(part: str) -> None:
    for act in (invoke, end):
        with pytest.raises(ConsentryError):
            act(Log(), **{part: ()})


def test_a_sixty_fifth_exemption_has_no_effect() -> None:
    log = Log()
    for _ in range(MAX_INVOCATIONS + 1):
        invoke(log)
    assert len(facts(log).invocations) == MAX_INVOCATIONS


@pytest.mark.parametrize(("more", "counts"), [(0, True), (1, False)])
def test_an_exemption_of_endless_words_has_no_effect(more: int, counts: bool) -> None:
    log = Log()
    invoke(log, legal_ref="x" * (MAX_INVOCATION_TEXT - len("c") - len("gps") - 3 + more))
    assert bool(facts(log).invocations) is counts


def test_an_ending_covered_by_a_later_one_goes() -> None:
    log = Log()
    end(log, purpose="feed.city")
    end(log)
    assert [ending.offset for ending in facts(log).endings] == [2]


def test_beyond_64_two_endings_of_a_code_are_one_that_covers_both() -> None:
    log = Log()
    end(log, code="d")
    for number in range(MAX_ENDINGS):
        end(log, data=(f"d{number:02}",))
    assert len(facts(log).endings) == MAX_ENDINGS
    assert {ending.code for ending in facts(log).endings} == {"c", "d"}
    invoke(log, data=("d00",), occurred_at=1_000)
    assert not facts(log).invocations


def test_with_no_two_endings_of_a_code_the_two_oldest_end_every_code() -> None:
    log = Log()
    invoke(log, code="kept", operations=(STORE,))
    invoke(log, code="gone")
    for number in range(MAX_ENDINGS + 1):
        end(log, code=f"c{number}")
    assert len(facts(log).endings) == MAX_ENDINGS
    assert {ending.code for ending in facts(log).endings} == {
        "",
        *(f"c{number}" for number in range(2, MAX_ENDINGS + 1)),
    }
    end(log, code="one more")
    end(log, code="and another")
    assert len(facts(log).endings) == MAX_ENDINGS
    assert [invocation.code for invocation in facts(log).invocations] == ["kept"]


def test_no_rejection_of_nothing_takes_back_two_objections_that_were_widened_into_one() -> None:
    log = Log()
    for number in range(MAX_OBJECTIONS + 1):
        log.append(RightsRequested, right=Right.OBJECTION, purpose=f"feed.p{number}")
    log.append(RightsResolved, request=UUID(int=0), outcome=Outcome.REJECTED, reason="no", actor=OPERATOR)
    assert len(facts(log).objections) == MAX_OBJECTIONS


def test_a_subject_of_whom_nothing_of_this_is_said_has_no_circumstances() -> None:
    log = Log()
    invoke(log, operations=(STORE,))
    assert log.state.subject == SUBJECT
    assert log.state.circumstances is not None
    assert Log().state.circumstances is None
