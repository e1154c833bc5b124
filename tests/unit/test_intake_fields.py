"""What an event has to look like: each field at its limit, and one past it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.taking import (
    A_GUARDIAN,
    CONTROLLER,
    GUARDIAN,
    HASHED_IDENTITY,
    IDENTITY,
    NOW,
    PEPPERED,
    SETTINGS,
    SUBJECT,
    VALID,
    body_of,
    caller_for,
    new_id,
    places,
    policies_of,
    refused,
    take,
    take_all,
)

from consentry.codec import decode_event, encode_event
from consentry.errors import InvalidEvent
from consentry.intake import Caller, CallerRole, parse_submission, take_in
from consentry.settings import Settings

DEVICE = {"role": "subject", "id": "device:d-1"}
EMPTY = ("operations", "data", "recipients")
LONG = "x" * SETTINGS.max_text


@pytest.mark.parametrize("type_name", sorted(VALID))
def test_a_valid_event_of_each_type_is_taken_and_survives_the_wire(type_name: str) -> None:
    event = take(body_of(type_name))
    assert type(event).__name__ == type_name
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    ("type_name", "changes", "where"),
    [
        # an empty choice is never widened to everything
        *[("ConsentWithdrawn", {field: []}, f"/{field}") for field in EMPTY],
        *[("ConsentGiven", {field: []}, f"/{field}") for field in EMPTY],
        *[("ExemptionInvoked", {field: []}, f"/{field}") for field in EMPTY],
        ("ConsentWithdrawn", {"purpose": ""}, "/purpose"),
        ("ConsentWithdrawn", {"purpose": "a b"}, "/purpose"),
        ("ConsentWithdrawn", {"purpose": "x" * 129}, "/purpose"),
        ("ConsentWithdrawn", {"data": ["phone", "a\nb"]}, "/data/1"),
        ("ConsentWithdrawn", {"data": [f"d{number}" for number in range(SETTINGS.max_names + 1)]}, "/data"),
        ("ConsentRefused", {"scene": "a scene"}, "/scene"),
        ("ConsentWithdrawn", {"reason": " "}, "/reason"),
        ("ConsentWithdrawn", {"reason": LONG + "x"}, "/reason"),
        ("ConsentWithdrawn", {"reason": "bell \x07"}, "/reason"),
        ("ConsentWithdrawn", {"request_id": ""}, "/request_id"),
        ("ConsentGiven", {"occurred_at": 0}, "/occurred_at"),
        ("ConsentGiven", {"occurred_at": -1}, "/occurred_at"),
        ("ConsentGiven", {"occurred_at": 2**63}, "/occurred_at"),
        ("ConsentGiven", {"sent_at": 0}, "/sent_at"),
        ("ConsentRevoked", {"actor": {"role": "controller", "id": "a person"}}, "/actor/id"),
        ("ConsentRevoked", {"actor": {"role": "controller", "id": "li@example.com"}}, "/actor/id"),
        ("ConsentGiven", {"policy_version": 0}, "/policy_version"),
        ("ConsentGiven", {"policy_version": 2**31}, "/policy_version"),
        ("ConsentGiven", {"valid_until": NOW - 1_000}, "/valid_until"),
        ("ConsentGiven", {"notice": {"hash": "0" * 63, "language": "en"}}, "/notice/hash"),
        ("ConsentGiven", {"notice": {"hash": "A" * 64, "language": "en"}}, "/notice/hash"),
        ("ConsentGiven", {"notice": {"hash": "a" * 64, "language": "e"}}, "/notice/language"),
        ("ConsentGiven", {"expected_position": "812"}, "/expected_position"),
        ("DataCollected", {"decision_position": "latest"}, "/decision_position"),
        ("AgeAsserted", {"birth_date": "2010-02-30"}, "/birth_date"),
        ("AgeAsserted", {"birth_date": "20100228"}, "/birth_date"),
        ("AgeAsserted", {"birth_date": "2099-01-01"}, "/birth_date"),
        ("AgeAsserted", {"birth_date": "1875-12-31"}, "/birth_date"),
        ("AgeAsserted", {"birth_date": ...}, "/birth_date"),
        ("AgeAsserted", {"age_band": "minor"}, "/birth_date"),
        ("GuardianLinked", {"guardian": SUBJECT}, "/guardian"),
        ("GuardianLinked", {"guardian": "device:d-1"}, "/guardian"),
        ("GuardianLinked", {"guardian": "account:13800138000"}, "/guardian"),
        ("GuardianLinked", {"guardian": "robot:r-1"}, "/guardian"),
        ("ConsentRefused", {"actor": {"role": "guardian", "id": SUBJECT}}, "/actor/id"),
        ("ConsentRefused", {"actor": {"role": "guardian", "id": "mother"}}, "/actor/id"),
        ("IdentityLinked", {"device": "account:u-2"}, "/device"),
        ("IdentityLinked", {"subject": "device:d-1", "actor": DEVICE, "account": "device:d-2"}, "/account"),
        ("IdentityLinked", {"account": "account:u-2"}, "/subject"),
        ("PermissionObserved", {"device": "my phone"}, "/device"),
        ("PermissionObserved", {"device": "13800138000"}, "/device"),
        ("RightsRequested", {"right": "access"}, "/purpose"),
        ("AccountClosed", {"identity_verified": False}, "/identity_verified"),
        ("ExemptionInvoked", {"valid_until": NOW - 1_000}, "/valid_until"),
        ("ExemptionInvoked", {"legal_ref": ""}, "/legal_ref"),
        ("ExemptionInvoked", {"approver": "the boss"}, "/approver"),
        ("ExemptionInvoked", {"approver": "tests"}, "/approver"),
        ("ExemptionInvoked", {"approver": CONTROLLER["id"]}, "/approver"),
        ("RightsResolved", {"request": "00000000-0000-0000-0000-000000000000"}, "/request"),
        ("QuarantineReleased", {"approver": "tests"}, "/approver"),
        ("QuarantineReleased", {"position": "here and there"}, "/position"),
    ],
)
def test_a_fault_names_the_field(type_name: str, changes: dict[str, Any], where: str) -> None:
    fault = refused(body_of(type_name, **changes))
    assert places(fault) == [where]
    assert fault.status == 422


@pytest.mark.parametrize(
    ("type_name", "changes"),
    [
        ("ConsentWithdrawn", {"reason": LONG}),
        ("ConsentWithdrawn", {"reason": "两行\n理由"}),
        ("ConsentWithdrawn", {"purpose": "x" * 128}),
        ("ConsentWithdrawn", {"data": [f"d{number}" for number in range(SETTINGS.max_names)]}),
        ("ConsentWithdrawn", {"occurred_at": 1}),
        ("ConsentWithdrawn", {"occurred_at": 2**63 - 1}),
        ("ConsentGiven", {"notice": {"hash": "0a" * 32, "language": "zh-Hans"}}),
        ("ConsentGiven", {"valid_until": NOW - 999}),
        ("AgeAsserted", {"birth_date": "1876-01-01"}),
        ("AgeAsserted", {"birth_date": ..., "age_band": "child"}),
        ("RightsRequested", {"right": "access", "purpose": ...}),
        ("PermissionObserved", {"device": "d-1"}),
        ("PermissionObserved", {"device": ...}),
        ("GuardianLinked", {"actor": A_GUARDIAN, "guardian": GUARDIAN}),
    ],
)
def test_what_lies_at_the_limit_is_taken(type_name: str, changes: dict[str, Any]) -> None:
    take(body_of(type_name, **changes))


def test_an_event_may_be_as_large_as_the_limit_and_no_larger() -> None:
    body = body_of("ConsentWithdrawn", reason=LONG)
    size = len(encode_event(take(body))) + 64
    take(body, settings=Settings(max_event_bytes=size))
    assert refused(body, settings=Settings(max_event_bytes=size - 1)).code == "EVENT_TOO_LARGE"


def test_every_fault_of_an_event_is_named_at_once() -> None:
    body = body_of("ConsentGiven", occurred_at=0, data=[], purpose="")
    assert places(refused(body)) == ["/purpose", "/data", "/occurred_at"]


@pytest.mark.parametrize("field", ["subject", "reason", "purpose", "request_id", "actor"])
@pytest.mark.parametrize("settings", [SETTINGS, PEPPERED])
def test_text_that_has_no_bytes_is_refused(field: str, settings: Settings) -> None:
    """Half a surrogate pair: no JSON holds it, a Python caller may."""
    body = body_of("ConsentWithdrawn", **{field: "\ud800" if field != "actor" else {"role": "subject", "id": "\ud800"}})
    with pytest.raises(InvalidEvent):
        take_in(
            parse_submission(body, settings),
            caller=caller_for("ConsentWithdrawn"),
            policies=policies_of(),
            identity=HASHED_IDENTITY if settings.subject_pepper else IDENTITY,
            settings=settings,
            now=NOW,
            new_id=new_id,
        )


def test_a_producer_may_say_its_own_name_and_no_other() -> None:
    assert take(body_of("ConsentWithdrawn", producer="tests")).producer == "tests"
    fault = refused(body_of("ConsentWithdrawn", producer="another"))
    assert (fault.status, places(fault)) == (403, ["/producer"])


def test_the_caller_is_the_producer() -> None:
    assert take(body_of("ConsentWithdrawn")).producer == "tests"


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=30)
    | st.lists(st.text(max_size=8), max_size=3)
    | st.sampled_from([SUBJECT, "e1.p3.o8", "2010-01-01", "on", "objection", "granted", [], ["collect"], ["phone"]])
    | st.dictionaries(st.sampled_from(["role", "id", "hash", "language"]), st.text(max_size=8), max_size=3)
)


@given(st.sampled_from(sorted(VALID)), st.data())
def test_intake_takes_an_event_or_says_why_not(type_name: str, data: st.DataObject) -> None:
    body = body_of(type_name)
    field = data.draw(st.sampled_from([*body, "evidence", "recipients", "expected_position", "sent_at", "notice"]))
    if field == "type":
        return
    body[field] = data.draw(values)
    try:
        (accepted,) = take_all(body, caller=Caller("tests", frozenset(CallerRole)))
    except InvalidEvent:
        return
    assert decode_event(encode_event(accepted.event)) == accepted.event
