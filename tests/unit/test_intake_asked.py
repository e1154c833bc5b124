"""A replica is asked by the names that callers know; what no name of its log fits finds nobody, and gets a DENY."""

from uuid import UUID

import pytest
from unit.story import DOCUMENT

from consentry.decision import Request
from consentry.events import Genesis
from consentry.intake.asked import in_the_logs_names, of_a_known_type
from consentry.intake.subjects import stored_device, stored_subject
from consentry.policy import parse_policy
from consentry.settings import Secret, Settings
from consentry.terms import Operation, SubjectIds

PLAIN, PEPPERED = Settings(), Settings(subject_pepper=Secret("a pepper of the tests, long enough"))
ADA, PHONE = stored_subject("account:ada", PEPPERED), stored_device("phone-1", PEPPERED)


def asked(subject: str, device: str | None = None) -> Request:
    return Request(subject=subject, operation=Operation.USE, purpose="any", data=("datum",), device=device)


def genesis(ids: SubjectIds) -> Genesis:
    return Genesis(log_id=UUID(int=1), epoch=1, partitions=3, subject_ids=ids)


@pytest.mark.parametrize(
    ("ids", "settings", "request_", "as_stored"),
    [
        (SubjectIds.PLAIN, PLAIN, asked("account:ada", "phone-1"), asked("account:ada", "phone-1")),
        (SubjectIds.HASHED, PEPPERED, asked("account:ada", "phone-1"), asked(ADA, PHONE)),
        (SubjectIds.HASHED, PEPPERED, asked(ADA, PHONE), asked(ADA, PHONE)),
        (SubjectIds.HASHED, PLAIN, asked(ADA, PHONE), asked(ADA, PHONE)),
    ],
)
def test_a_question_goes_by_the_logs_names(
    ids: SubjectIds, settings: Settings, request_: Request, as_stored: Request
) -> None:
    assert in_the_logs_names(request_, genesis(ids), settings) == as_stored


@pytest.mark.parametrize(
    ("ids", "settings", "request_"),
    [
        (SubjectIds.HASHED, PLAIN, asked("account:ada")),
        (SubjectIds.PLAIN, PEPPERED, asked("account:ada")),
        (SubjectIds.PLAIN, PLAIN, asked(ADA)),
        (SubjectIds.PLAIN, PLAIN, asked("account:ada", PHONE)),
        (SubjectIds.PLAIN, PLAIN, asked("account:ada ")),
        (SubjectIds.PLAIN, PLAIN, asked("ada")),
        (SubjectIds.PLAIN, PLAIN, asked("account:13800138000")),
        (SubjectIds.PLAIN, PLAIN, asked("account:ada", "my phone")),
    ],
)
def test_what_no_name_of_the_log_fits_is_asked_with_no_data(
    ids: SubjectIds, settings: Settings, request_: Request
) -> None:
    assert in_the_logs_names(request_, genesis(ids), settings).data == ()


@pytest.mark.parametrize(("subject", "known"), [("account:ada", True), ("Account:ada", False), ("user:ada", False)])
def test_a_subject_of_a_type_that_the_policy_does_not_know_is_asked_with_no_data(subject: str, known: bool) -> None:
    assert bool(of_a_known_type(asked(subject), parse_policy(DOCUMENT)).data) is known


def test_without_a_policy_no_type_is_known() -> None:
    assert of_a_known_type(asked("account:ada"), None).data == ()
