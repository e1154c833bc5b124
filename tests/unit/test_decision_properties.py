"""What holds of every decision, whatever the row, the policies and the question."""

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit.decision_worlds import (
    POLICY,
    World,
    histories_of_policies,
    later_marks,
    many,
    opt_outs,
    view_of,
    worlds,
)
from unit.story import DOCUMENT, SUBJECT, first_version

from consentry.decision import Decision, Prompt, Request, decide
from consentry.policy import ALLOWING, Policies
from consentry.state.row import Mark, OptOut, SubjectState
from consentry.terms import Form, Operation, Position, Reason, Status

BOUNDS = {
    Reason.CONSENT: 2_000,
    Reason.NOT_PERSONAL_DATA: 2_000,
    Reason.EXEMPT: 3_600_000,
    Reason.NECESSARY: 86_400_000,
}
RAW = yaml.safe_load(DOCUMENT)


def answer_in(world: World, policies: Policies | None = None) -> Decision:
    return decide(world.view, policies or first_version(), world.request, world.now)


def without_prompt(answer: Decision) -> Decision:
    return msgspec.structs.replace(answer, prompt=Prompt(may_ask=False))


@many
@given(worlds)
def test_where_the_log_says_nothing_only_necessity_allows(world: World) -> None:
    answer = decide(view_of(None, world.staleness_ms), first_version(), world.request, world.now)
    if answer.allow and answer.reason is not Reason.NOT_PERSONAL_DATA:
        line = RAW["purposes"][world.request.purpose]
        assert line["basis"] == "necessity"
        assert all(datum in line["data"]["necessary"] for datum in world.request.data)


@many
@given(worlds)
def test_without_any_policy_nothing_is_allowed(world: World) -> None:
    answer = decide(world.view, Policies(), world.request, world.now)
    assert not answer.allow
    assert answer.policy_version is None
    assert answer.clause == ""


@many
@given(worlds, histories_of_policies())
def test_an_allow_names_the_grants_or_the_rule_it_rests_on(world: World, policies: Policies) -> None:
    answer = answer_in(world, policies)
    if not answer.allow:
        return
    ids = {Reason.CONSENT: {act.event_id.hex() for act in world.row.acts if act.status is Status.GIVEN}}
    if world.row.circumstances is not None:
        ids[Reason.EXEMPT] = {each.event_id.hex() for each in world.row.circumstances.invocations}
    exemptions = [clause for each in POLICY.exemptions.values() for clause in (each.clause, each.leaving)]
    for result in answer.results:
        named = {event.replace("-", "") for event in result.evidence}
        assert named <= ids.get(result.reason, set())
        assert bool(named) == (result.reason in (Reason.CONSENT, Reason.EXEMPT))
        if result.reason is Reason.EXEMPT:
            assert result.clause in exemptions
        else:
            assert result.clause == POLICY.purposes[world.request.purpose].clause
        assert (result.basis is None) == (result.reason is Reason.NOT_PERSONAL_DATA)


@many
@given(worlds, histories_of_policies())
def test_an_answer_allows_exactly_when_each_of_its_results_does(world: World, policies: Policies) -> None:
    answer = answer_in(world, policies)
    assert answer.allow == (bool(answer.results) and all(result.allow for result in answer.results))
    assert answer.allow == (answer.reason in ALLOWING)
    assert [result.data for result in answer.results] == list(world.request.data)
    assert all(result.allow == (result.reason in ALLOWING) for result in answer.results)
    for result in answer.results:
        alone = msgspec.structs.replace(world.request, data=(result.data,))
        assert answer_in(world._replace(request=alone), policies).results == (result,)


@many
@given(worlds, histories_of_policies(), st.integers(0, 10_000))
def test_time_alone_changes_an_answer_only_at_its_expires_at(world: World, policies: Policies, later: int) -> None:
    answer = answer_in(world, policies)
    assert answer.expires_at is None or answer.expires_at > world.now
    until = world.now + later
    if answer.expires_at is not None:
        until = min(until, answer.expires_at - 1)
    assert without_prompt(answer_in(world._replace(now=until), policies)) == without_prompt(answer)


@many
@given(worlds, histories_of_policies())
def test_no_allow_rests_on_a_view_older_than_its_bound(world: World, policies: Policies) -> None:
    for result in answer_in(world, policies).results:
        if result.allow:
            bound = BOUNDS[result.reason]
            assert world.staleness_ms is not None
            assert world.staleness_ms <= bound


@many
@given(worlds, later_marks)
def test_a_mark_more_never_allows_more(world: World, mark: Mark) -> None:
    tightened = msgspec.structs.replace(world.row, marks=(*world.row.marks, mark))
    assert answer_in(world).allow or not answer_in(world._replace(row=tightened)).allow


@many
@given(worlds, opt_outs)
def test_an_objection_or_a_quarantine_more_never_allows_more(world: World, objection: OptOut) -> None:
    for tightened in (
        msgspec.structs.replace(world.row, opt_outs=(*world.row.opt_outs, objection)),
        msgspec.structs.replace(world.row, quarantined=("consent-intake.shop-0@9",)),
    ):
        assert answer_in(world).allow or not answer_in(world._replace(row=tightened)).allow


@many
@given(worlds, st.builds(Position, st.integers(0, 2), st.integers(2, 4), st.integers(50, 60)))
def test_an_answer_never_rests_on_older_state_than_was_asked_for(world: World, wanted: Position) -> None:
    asked = msgspec.structs.replace(world.request, min_position=wanted)
    answer = answer_in(world._replace(request=asked))
    hidden = wanted[:2] != answer.position[:2] or wanted > answer.position
    assert (answer.reason is Reason.NOT_YET_VISIBLE) == hidden


@pytest.mark.parametrize(
    "foreign",
    [
        SubjectState(subject=SUBJECT, position=Position(2, 3, 1), tightened_offset=1),
        SubjectState(subject=SUBJECT, position=Position(1, 4, 1), tightened_offset=1),
        SubjectState(subject="account:bob", position=Position(1, 3, 1), tightened_offset=1),
    ],
    ids=["epoch", "partition", "subject"],
)
def test_a_row_of_another_epoch_partition_or_subject_proves_nothing(foreign: SubjectState) -> None:
    request = Request(subject=SUBJECT, operation=Operation.USE, purpose="search.service", data=("search_log",))
    answer = decide(view_of(foreign, 0), first_version(), request, 1_800_000_000_000)
    assert answer.reason is Reason.NOT_YET_VISIBLE
    assert answer.tightened_position is None


@many
@given(
    world=worlds,
    policies=histories_of_policies(),
    now=st.integers(-(2**63), 2**63),
    subject=st.just(SUBJECT) | st.text(),
    purpose=st.text(),
    data=st.lists(st.text(), max_size=5).map(tuple),
    operation=st.sampled_from(list(Operation)),
    form=st.sampled_from(list(Form)),
    rest=st.none() | st.text(),
)
def test_every_question_has_an_answer(
    world: World,
    policies: Policies,
    now: int,
    subject: str,
    purpose: str,
    data: tuple[str, ...],
    operation: Operation,
    form: Form,
    rest: str | None,
) -> None:
    request = Request(
        subject=subject,
        operation=operation,
        purpose=purpose,
        data=data,
        form=form,
        recipient=rest,
        device=rest,
        transfer_mechanism=rest,
    )
    assert not decide(world.view, policies, request, now).allow
