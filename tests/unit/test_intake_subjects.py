"""Subjects: opaque ids alone, and in a log of hashed ids the keyed hash in every place where a person stands."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.taking import (
    A_GUARDIAN,
    GUARDIAN,
    HASHED_IDENTITY,
    IDENTITY,
    PEPPERED,
    SETTINGS,
    SUBJECT,
    body_of,
    places,
    refused,
    take,
)

from consentry.errors import UntrustedLog
from consentry.events import GuardianLinked, IdentityLinked, PermissionObserved
from consentry.intake import fault_of_subject, is_hashed, require_subject_ids, stored_device, stored_subject
from consentry.settings import Secret, Settings

HASHED = stored_subject(SUBJECT, PEPPERED)


@pytest.mark.parametrize(
    "subject",
    [
        "account:13800138000",
        "account:+8613800138000",
        "account:138-0013-8000",
        "account:138.0013.8000",
        "account:1380013",
        "account:123456789012345",
        "account:tel13800138000",
        "account:li@example.com",
        "account:li%40example.com",
        "account:li.at.example.com",
    ],
)
def test_what_looks_like_a_phone_number_or_an_e_mail_is_refused(subject: str) -> None:
    actor = {"role": "subject", "id": subject}
    for settings in (SETTINGS, PEPPERED):
        fault = refused(body_of("ConsentWithdrawn", subject=subject, actor=actor), settings=settings)
        assert places(fault) == ["/subject"]
        assert "looks like" in fault.what


@pytest.mark.parametrize("name", ["u-1234567", "123456", "1234567890123456", "7f3a9c", "a.b~c_d-E", "x" * 128])
def test_an_opaque_id_is_taken(name: str) -> None:
    subject = f"account:{name}"
    assert (
        take(body_of("ConsentWithdrawn", subject=subject, actor={"role": "subject", "id": subject})).subject == subject
    )


@pytest.mark.parametrize(
    "subject", ["", "account", "account:", ":u-1", "account:a b", "account:a/b", "account:u:1", "account:" + "x" * 129]
)
def test_what_is_no_subject_is_refused(subject: str) -> None:
    assert places(refused(body_of("ConsentWithdrawn", subject=subject))) == ["/subject"]


def test_a_subject_type_that_no_policy_knows_is_refused() -> None:
    subject = "patient:p-1"
    fault = refused(body_of("ConsentWithdrawn", subject=subject, actor={"role": "subject", "id": subject}))
    assert places(fault) == ["/subject"]


@given(st.text(max_size=200))
def test_any_text_is_a_subject_or_has_a_fault(text: str) -> None:
    fault = fault_of_subject(text, SETTINGS)
    assert fault is None or fault


def test_the_hash_is_hmac_sha_256_of_the_whole_subject() -> None:
    digest = hmac.new(PEPPERED.subject_pepper.encode(), SUBJECT.encode(), hashlib.sha256).digest()
    assert "account:h1:" + urlsafe_b64encode(digest).decode().rstrip("=") == HASHED


def test_a_plain_log_keeps_the_subject_as_it_is() -> None:
    assert take(body_of("ConsentWithdrawn")).subject == SUBJECT


def test_a_hashed_log_holds_no_plain_id_of_a_person_or_device() -> None:
    link = take(body_of("GuardianLinked"), settings=PEPPERED)
    assert isinstance(link, GuardianLinked)
    assert (link.subject, link.actor.id, link.guardian) == (HASHED, HASHED, stored_subject(GUARDIAN, PEPPERED))
    refusal = take(body_of("ConsentRefused", actor=A_GUARDIAN), settings=PEPPERED)
    assert refusal.actor.id == stored_subject(GUARDIAN, PEPPERED)
    identity = take(body_of("IdentityLinked"), settings=PEPPERED)
    assert isinstance(identity, IdentityLinked)
    assert (identity.account, identity.device) == (HASHED, stored_subject("device:d-1", PEPPERED))
    seen = take(body_of("PermissionObserved", device="d-1"), settings=PEPPERED)
    assert isinstance(seen, PermissionObserved)
    assert seen.device == stored_device("d-1", PEPPERED)
    assert "d-1" not in seen.device


def test_the_controllers_own_id_is_not_hashed() -> None:
    assert take(body_of("ConsentRevoked"), settings=PEPPERED).actor.id == "staff-7"


def test_hashing_twice_is_hashing_once() -> None:
    assert stored_subject(HASHED, PEPPERED) == HASHED
    assert is_hashed(HASHED)
    assert not is_hashed(SUBJECT)


def test_another_pepper_gives_another_id() -> None:
    assert stored_subject(SUBJECT, Settings(subject_pepper=Secret("another"))) != HASHED


def test_a_plain_log_refuses_a_hashed_id() -> None:
    actor = {"role": "subject", "id": HASHED}
    assert places(refused(body_of("ConsentWithdrawn", subject=HASHED, actor=actor))) == ["/subject"]


def test_a_hashed_id_is_taken_for_what_tightens_and_from_who_answers_the_log() -> None:
    actor = {"role": "subject", "id": HASHED}
    assert take(body_of("ConsentWithdrawn", subject=HASHED, actor=actor), settings=PEPPERED).subject == HASHED
    assert take(body_of("ConsentRevoked", subject=HASHED), settings=PEPPERED).subject == HASHED
    assert take(body_of("ObligationFulfilled", subject=HASHED), settings=PEPPERED).subject == HASHED


def test_what_a_person_loosens_names_the_person_by_the_plain_id() -> None:
    actor = {"role": "subject", "id": HASHED}
    fault = refused(body_of("ConsentGiven", subject=HASHED, actor=actor), settings=PEPPERED)
    assert (fault.status, fault.code, places(fault)) == (403, "PLAIN_ID_REQUIRED", ["/subject"])


def test_settings_that_would_write_the_other_kind_of_ids_are_refused() -> None:
    require_subject_ids(SETTINGS, IDENTITY)
    require_subject_ids(PEPPERED, HASHED_IDENTITY)
    with pytest.raises(UntrustedLog, match="hashed"):
        require_subject_ids(SETTINGS, HASHED_IDENTITY)
    with pytest.raises(UntrustedLog, match="plain"):
        require_subject_ids(PEPPERED, IDENTITY)


def test_no_event_is_taken_into_a_log_of_the_other_kind_of_ids() -> None:
    with pytest.raises(UntrustedLog):
        take(body_of("ConsentWithdrawn"), identity=HASHED_IDENTITY)
    with pytest.raises(UntrustedLog):
        take(body_of("ConsentWithdrawn"), settings=PEPPERED, identity=IDENTITY)


def test_the_pepper_is_nowhere_in_what_intake_says() -> None:
    fault = refused(body_of("ConsentGiven", occurred_at=0), settings=PEPPERED)
    assert str(PEPPERED.subject_pepper.encode().decode()) not in f"{fault} {fault.problems} {PEPPERED!r}"
