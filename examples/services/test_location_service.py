"""The service's own tests: in memory they take milliseconds, with --consentry-live they ask a real node.

pytest examples/services
"""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from location_service import create_app

from consentry.testing import Person, World
from consentry.testing.plugin import Tells

NEARBY = "recommendation.nearby"
BERLIN = {"latitude": 52.5, "longitude": 13.4}


@pytest.fixture
def service(consentry: World) -> Iterator[TestClient]:
    with TestClient(create_app(consentry)) as client:
        yield client


def post(service: TestClient, person: Person, screen: str = "map") -> tuple[int, str]:
    """The status, and the reason where there is one."""
    headers = {"x-account": person.subject.removeprefix("account:"), "x-screen": screen}
    answer = service.post("/positions", json=BERLIN, headers=headers)
    return answer.status_code, answer.json().get("reason", "")


def test_a_location_is_kept_with_consent_and_says_what_it_rests_on(service: TestClient, given: Tells) -> None:
    ada = given("account:ada").permits("location").gives(NEARBY)
    assert post(service, ada) == (201, "")
    (kept,) = service.get("/positions", headers={"x-account": ada.subject.removeprefix("account:")}).json()
    assert kept["point"] == BERLIN
    assert len(kept["evidence"]) == 1


def test_without_consent_nothing_is_kept(service: TestClient, given: Tells) -> None:
    ada = given("account:ada").permits("location")
    assert post(service, ada) == (403, "NO_CONSENT")
    assert service.get("/positions", headers={"x-account": ada.subject.removeprefix("account:")}).json() == []


def test_a_withdrawal_counts_at_once(service: TestClient, given: Tells, when: Tells) -> None:
    ada = given("account:ada").permits("location").gives(NEARBY)
    assert post(service, ada) == (201, "")
    when("account:ada").withdraws(NEARBY)
    assert post(service, ada) == (403, "WITHDRAWN")


def test_the_phones_own_permission_is_needed_too(service: TestClient, given: Tells) -> None:
    assert post(service, given("account:ada").gives(NEARBY)) == (403, "PERMISSION_OFF")


def test_only_while_the_map_is_open(service: TestClient, given: Tells) -> None:
    ada = given("account:ada").permits("location").gives(NEARBY)
    assert post(service, ada, screen="feed") == (403, "FEATURE_NOT_ACTIVE")


def test_after_a_refusal_nobody_is_asked_for_two_days(consentry: World, given: Tells, then: Tells) -> None:
    given("account:ada").permits("location").refuses(NEARBY)
    asked = {"operation": "collect", "data": "gps_precise", "purpose": NEARBY, "active": True}
    then("account:ada").may_not_be_asked(**asked)
    consentry.clock.advance(hours=48)
    then("account:ada").may_be_asked(**asked)
