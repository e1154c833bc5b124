"""Cells: what a caller leaves out is filled in from the policy version it names, what that does not name is refused."""

from typing import Any

import pytest
from unit.taking import DOCUMENT, SUBJECT, body_of, places, policies_of, refused, take

from consentry.errors import Unavailable
from consentry.events import ConsentGiven, ConsentWithdrawn, DataCollected, PolicyRevised, RecordedPolicyEvent
from consentry.policy import Policies, parse_policy
from consentry.state.row import MAX_CELLS
from consentry.terms import Operation, Position

GIVEN = {"policy_version": 1, "expression": "separate"}


def second_version(effective_at: str, changes: dict[str, str]) -> Policies:
    document = DOCUMENT.replace("version: 1\n", "version: 2\n").replace("2026-01-08T00:00:00Z", effective_at)
    for old, new in changes.items():
        assert old in document
        document = document.replace(old, new)
    first = policies_of().revisions[0]
    policies = policies_of()
    event = PolicyRevised(
        event_id=first.event.event_id,
        policy=first.policy.id,
        occurred_at=1,
        version=2,
        effective_at=parse_policy(document).effective_at,
        document=document,
        text="the wording",
        text_hash="0" * 64,
    )
    return policies.after(RecordedPolicyEvent(Position(1, 0, 2), 2, event))


def test_operations_and_data_left_out_are_those_of_the_purpose() -> None:
    event = take(body_of("ConsentGiven", **GIVEN, purpose="publish.content"))
    assert isinstance(event, ConsentGiven)
    assert event.operations == (Operation.COLLECT, Operation.STORE, Operation.USE, Operation.DISCLOSE)
    assert event.data == ("avatar", "nickname", "posted_content")
    assert event.recipients is None


def test_what_is_named_is_kept_in_one_order_and_once() -> None:
    body = body_of("ConsentGiven", **GIVEN, purpose="publish.content")
    event = take({**body, "operations": ["use", "collect", "use"], "data": ["nickname", "avatar", "nickname"]})
    assert isinstance(event, ConsentGiven)
    assert event.operations == (Operation.COLLECT, Operation.USE)
    assert event.data == ("avatar", "nickname")


@pytest.mark.parametrize("type_name", ["ConsentRequested", "ConsentDeferred", "ConsentGiven", "ConsentReaffirmed"])
@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"purpose": "telepathy"}, "/purpose"),
        ({"operations": ["use", "export"]}, "/operations/1"),
        ({"data": ["nickname", "phone"]}, "/data/1"),
        ({"recipients": ["adnet"]}, "/recipients/0"),
        ({"purpose": "ads.delivery"}, "/recipients"),
        ({"purpose": "ads.delivery", "recipients": ["adnet", "gamehub"]}, "/recipients/1"),
        ({"purpose": "legal.obligation"}, "/purpose"),
        ({"policy_version": 2}, "/policy_version"),
    ],
)
def test_a_cell_that_the_version_does_not_name_is_refused(type_name: str, changes: dict[str, Any], where: str) -> None:
    fault = refused(body_of(type_name, **changes))
    assert (fault.status, places(fault)) == (422, [where])


def test_a_line_with_recipients_takes_those_that_are_named() -> None:
    event = take(body_of("ConsentGiven", **GIVEN, purpose="ads.delivery", recipients=["adx", "adnet"]))
    assert isinstance(event, ConsentGiven)
    assert event.recipients == ("adnet", "adx")
    assert event.operations == (Operation.SHARE,)


def test_what_tightens_may_leave_out_every_part_and_stays_as_wide() -> None:
    event = take(body_of("ConsentWithdrawn"))
    assert isinstance(event, ConsentWithdrawn)
    assert (event.purpose, event.operations, event.data, event.recipients) == (None, None, None, None)


def test_what_tightens_may_name_what_no_policy_knows() -> None:
    body = body_of("ConsentWithdrawn", purpose="telepathy", data=["thoughts"], recipients=["nobody"])
    event = take(body)
    assert isinstance(event, ConsentWithdrawn)
    assert event.data == ("thoughts",)


def test_a_grant_under_a_version_not_yet_in_force_is_refused() -> None:
    policies = second_version("2100-01-01T00:00:00Z", {})
    fault = refused(body_of("ConsentGiven", policy_version=2), policies=policies)
    assert (fault.code, places(fault)) == ("POLICY_NOT_IN_FORCE", ["/policy_version"])
    take(body_of("ConsentGiven"), policies=policies)


def test_a_version_may_be_accepted_before_it_is_in_force_but_not_before_it_is_published() -> None:
    take(body_of("PolicyAccepted", policy_version=2), policies=second_version("2100-01-01T00:00:00Z", {}))
    assert refused(body_of("PolicyAccepted", policy_version=2)).code == "POLICY_VERSION_UNKNOWN"


def test_each_grant_is_measured_by_the_version_that_it_names() -> None:
    dropped = {"data: {necessary: [posted_content, nickname, avatar]}": "data: {necessary: [posted_content, nickname]}"}
    policies = second_version("2026-02-01T00:00:00Z", dropped)
    first = take(body_of("ConsentGiven", policy_version=1), policies=policies)
    second = take(body_of("ConsentGiven", policy_version=2), policies=policies)
    assert isinstance(first, ConsentGiven)
    assert isinstance(second, ConsentGiven)
    assert first.data == ("avatar", "nickname", "posted_content")
    assert second.data == ("nickname", "posted_content")


def test_what_was_collected_is_measured_by_the_terms_of_its_time() -> None:
    dropped = {"  sharing.bluetooth: {": "  sharing.radio: {"}
    policies = second_version("2026-09-01T00:00:00Z", dropped)
    then = policies.revisions[1].effective_at - 1
    body = body_of("DataCollected", purpose="sharing.bluetooth", decision_position="e1.p3.o8", occurred_at=then)
    event = take(body, policies=policies)
    assert isinstance(event, DataCollected)
    assert event.data == ("bluetooth_signal",)
    assert places(refused({**body, "occurred_at": then + 1}, policies=policies)) == ["/purpose"]


@pytest.mark.parametrize(
    ("type_name", "changes", "where"),
    [
        ("PreferenceSet", {"opted_out": False, "purpose": "telepathy"}, "/purpose"),
        ("PermissionObserved", {"permission": "telepathy"}, "/permission"),
        ("ExemptionInvoked", {"code": "z"}, "/code"),
        ("ExemptionInvoked", {"code": "g", "operations": ["share"], "recipients": ["adx"]}, "/operations/0"),
        ("ExemptionInvoked", {"data": ["phone", "thoughts"]}, "/data/1"),
        ("ExemptionInvoked", {"purpose": "telepathy"}, "/purpose"),
        ("ExemptionInvoked", {"operations": ["share"]}, "/recipients"),
    ],
)
def test_what_loosens_names_what_the_policy_knows(type_name: str, changes: dict[str, Any], where: str) -> None:
    fault = refused(body_of(type_name, **changes))
    assert (fault.code, places(fault)) == ("NOT_IN_POLICY", [where])


@pytest.mark.parametrize(
    ("type_name", "changes"),
    [
        ("PreferenceSet", {"opted_out": True, "purpose": "telepathy"}),
        ("PermissionObserved", {"permission": "telepathy", "state": "off"}),
        ("PermissionObserved", {"permission": "telepathy", "state": "limited"}),
        ("ExemptionEnded", {"code": "z"}),
    ],
)
def test_what_tightens_is_taken_whatever_the_policy_knows(type_name: str, changes: dict[str, Any]) -> None:
    take(body_of(type_name, **changes))


def test_one_grant_holds_as_many_cells_as_a_row_and_no_more() -> None:
    def policies_with(data: int) -> Policies:
        names = [f"extra{number}" for number in range(data)]
        document = DOCUMENT.replace(
            "data: {necessary: [followed_accounts]}", f"data: {{necessary: [{', '.join(names)}]}}"
        )
        lines = "".join(f"  {name}: {{dpv: PersonalData}}\n" for name in names)
        return policies_of(
            document.replace("  phone: {dpv: TelephoneNumber}\n", f"  phone: {{dpv: TelephoneNumber}}\n{lines}")
        )

    fits = MAX_CELLS // 3
    take(body_of("ConsentGiven", **GIVEN, purpose="interaction.follow"), policies=policies_with(fits))
    fault = refused(body_of("ConsentGiven", **GIVEN, purpose="interaction.follow"), policies=policies_with(fits + 1))
    assert fault.code == "ROW_LIMIT"


def test_without_a_policy_in_force_nothing_is_refused_for_good() -> None:
    with pytest.raises(Unavailable):
        take(body_of("ConsentWithdrawn"), policies=Policies())
    with pytest.raises(Unavailable):
        take(body_of("ConsentWithdrawn"), now=policies_of().revisions[0].effective_at - 1)


def test_subjects_of_an_unrelated_policy_are_those_that_it_names() -> None:
    document = DOCUMENT.replace("subject_types: [account, device]", "subject_types: [patient]").replace(
        "authzen: {subject_types: {account: account, device: device}", "authzen: {subject_types: {patient: patient}"
    )
    patient = body_of("ConsentGiven", subject="patient:p-1", actor={"role": "subject", "id": "patient:p-1"})
    assert take(patient, policies=policies_of(document)).subject == "patient:p-1"
    assert places(refused(body_of("ConsentGiven", subject=SUBJECT), policies=policies_of(document))) == ["/subject"]
