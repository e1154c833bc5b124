"""Who may send what: the whole table, caller's role x event type x actor's role, and all that it does not name."""

import re
from pathlib import Path
from typing import get_args

import pytest
from unit.taking import GUARDIAN, NOBODYS, SUBJECT, VALID, body_of, places, refused, take

from consentry.errors import InvalidEvent
from consentry.events import AnySubjectEvent
from consentry.intake import AGE_SOURCES, MAY_SEND, Caller, CallerRole
from consentry.terms import ActorRole, AgeSource

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "roles.md"
TYPES = [kind.__name__ for kind in get_args(AnySubjectEvent)]
ACTOR_IDS = {
    ActorRole.SUBJECT: SUBJECT,
    ActorRole.GUARDIAN: GUARDIAN,
    ActorRole.CONTROLLER: "staff-7",
    ActorRole.SYSTEM: "feed-service",
}

# type -> caller's role -> whom it may speak for: s(ubject), g(uardian), c(ontroller), y (system).
# Written out once more, so that a change of the table in the code is seen here.
TABLE: dict[str, dict[str, str]] = {
    "ConsentRequested": {"producer": "scy"},
    "ConsentDeferred": {"producer": "sgcy"},
    "ConsentGiven": {"producer": "sg"},
    "ConsentReaffirmed": {"producer": "sg"},
    "ConsentRefused": {"producer": "sg"},
    "ConsentWithdrawn": {"producer": "sg"},
    "ConsentRevoked": {"operator": "c"},
    "ConsentInvalidated": {"operator": "c"},
    "PolicyAccepted": {"producer": "sg"},
    "PreferenceSet": {"producer": "sg"},
    "PermissionObserved": {"producer": "sgy"},
    "AgeAsserted": {"producer": "sgy", "guardian_verifier": "cy"},
    "GuardianLinked": {"producer": "sg"},
    "GuardianVerified": {"guardian_verifier": "cy"},
    "GuardianUnlinked": {"producer": "g", "operator": "c"},
    "IdentityLinked": {"producer": "scy"},
    "DataCollected": {"producer": "cy"},
    "ExemptionInvoked": {"operator": "c"},
    "ExemptionEnded": {"operator": "c"},
    "RightsRequested": {"producer": "sg"},
    "RightsResolved": {"operator": "c"},
    "AccountClosed": {"producer": "s", "operator": "c"},
    "SubjectQuarantined": {},
    "QuarantineReleased": {"operator": "c"},
    "SubjectErased": {},
    "ObligationFulfilled": {"producer": "cy", "operator": "c"},
}
LETTERS = {
    "s": ActorRole.SUBJECT,
    "g": ActorRole.GUARDIAN,
    "c": ActorRole.CONTROLLER,
    "y": ActorRole.SYSTEM,
}
# which guardian may do it is a matter of the row (tests/unit/test_intake_guardians.py), and here none is seen
NEVER = {("PermissionObserved", "g"), ("PermissionObserved", "y")}  # "on" loosens; "off" they may say
AGE_OF = {"s": "declared", "y": "inferred", "c": "verified", "g": "guardian"}


def is_taken(type_name: str, caller_role: CallerRole, letter: str) -> bool:
    role = LETTERS[letter]
    body = body_of(type_name, actor={"role": role, "id": ACTOR_IDS[role]})
    if type_name == "AgeAsserted":
        body["source"] = AGE_OF[letter] if caller_role is CallerRole.PRODUCER else "verified"
    try:
        take(body, caller=Caller("tests", frozenset({caller_role})))
    except InvalidEvent as fault:
        if fault.status != 403:
            raise
        return False
    return True


def test_the_table_names_every_type() -> None:
    assert sorted(TABLE) == sorted(TYPES)
    in_code = {
        kind.__name__: {role.value: set(actors) for role, actors in line.items()} for kind, line in MAY_SEND.items()
    }
    written_out = {
        kind: {role: {LETTERS[letter] for letter in letters} for role, letters in line.items()}
        for kind, line in TABLE.items()
        if line
    }
    assert in_code == written_out


@pytest.mark.parametrize("caller_role", list(CallerRole))
@pytest.mark.parametrize("type_name", sorted(TABLE))
def test_a_role_sends_what_the_table_names_and_nothing_else(type_name: str, caller_role: CallerRole) -> None:
    for letter in LETTERS:
        allowed = letter in TABLE[type_name].get(caller_role, "")
        allowed = allowed and (type_name, letter) not in NEVER
        assert is_taken(type_name, caller_role, letter) == allowed, (type_name, caller_role, letter)


@pytest.mark.parametrize("type_name", sorted(NOBODYS))
def test_what_only_intake_or_erasure_may_say_no_caller_may(type_name: str) -> None:
    everyone = Caller("tests", frozenset(CallerRole))
    fault = refused(body_of(type_name), caller=everyone)
    assert (fault.status, fault.code, places(fault)) == (403, "ROLE_NOT_ALLOWED", ["/type"])


def test_a_type_that_the_table_does_not_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new type has no line at first: nobody may send it."""
    without = {kind: line for kind, line in MAY_SEND.items() if kind.__name__ != "ConsentWithdrawn"}
    monkeypatch.setattr("consentry.intake.roles.MAY_SEND", without)
    everyone = Caller("tests", frozenset(CallerRole))
    assert refused(body_of("ConsentWithdrawn"), caller=everyone).status == 403


def test_a_caller_without_a_role_sends_nothing() -> None:
    nobody = Caller("tests", frozenset())
    assert all(refused(body_of(type_name), caller=nobody).status == 403 for type_name in VALID)


def test_several_roles_add_up_but_each_speaks_only_for_its_own() -> None:
    both = Caller("tests", frozenset({CallerRole.PRODUCER, CallerRole.OPERATOR}))
    take(body_of("ConsentRevoked"), caller=both)
    take(body_of("ConsentGiven"), caller=both)
    body = body_of("ConsentGiven", actor={"role": "controller", "id": "staff-7"})
    assert places(refused(body, caller=both)) == ["/actor/role"]


@pytest.mark.parametrize("type_name", [kind for kind in sorted(VALID) if VALID[kind][1]["role"] == "subject"])
def test_the_actor_who_is_said_to_be_the_subject_is_the_subject(type_name: str) -> None:
    fault = refused(body_of(type_name, actor={"role": "subject", "id": "account:u-2"}))
    assert (fault.status, fault.code, places(fault)) == (403, "ACTOR_NOT_ALLOWED", ["/actor/id"])


def test_a_guardian_links_and_unlinks_itself_alone() -> None:
    other = {"role": "guardian", "id": "account:g-2"}
    for type_name in ("GuardianLinked", "GuardianUnlinked"):
        assert places(refused(body_of(type_name, actor=other))) == ["/actor/id"]


def test_a_permission_that_is_on_is_said_by_the_person_and_one_that_is_off_by_the_system_too() -> None:
    system = {"role": "system", "id": "sdk"}
    assert places(refused(body_of("PermissionObserved", actor=system))) == ["/actor/role"]
    take(body_of("PermissionObserved", actor=system, state="off"))
    guardian = {"role": "guardian", "id": GUARDIAN}
    assert places(refused(body_of("PermissionObserved", actor=guardian))) == ["/actor/role"]
    take(body_of("PermissionObserved", actor=guardian, state="off"))


@pytest.mark.parametrize("source", list(AgeSource))
@pytest.mark.parametrize("caller_role", list(CallerRole))
@pytest.mark.parametrize("actor", list(ActorRole))
def test_an_age_comes_from_who_its_source_names(source: AgeSource, caller_role: CallerRole, actor: ActorRole) -> None:
    allowed = actor in AGE_SOURCES[source].get(caller_role, frozenset())
    body = body_of("AgeAsserted", source=source, actor={"role": actor, "id": ACTOR_IDS[actor]})
    caller = Caller("tests", frozenset({caller_role}))
    if allowed:
        take(body, caller=caller)
    else:
        assert refused(body, caller=caller).status == 403


def test_a_verified_age_is_a_verifiers_alone() -> None:
    assert set(AGE_SOURCES[AgeSource.VERIFIED]) == {CallerRole.GUARDIAN_VERIFIER}


def test_the_page_shows_the_table() -> None:
    """docs/reference/roles.md, line by line."""
    shown: dict[str, dict[str, set[str]]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        match = re.fullmatch(r"`(\w+)`", cells[0])
        if not line.startswith("|") or match is None or match[1] not in TABLE:
            continue
        entry = shown.setdefault(match[1], {})
        if cells[1] != "nobody":
            entry[cells[1]] = set(cells[2].split(", "))
    named = {
        kind: {role: {LETTERS[letter].value for letter in actors} for role, actors in line.items()}
        for kind, line in TABLE.items()
    }
    assert shown == named


def test_an_event_keeps_nothing_of_who_a_body_says_it_is() -> None:
    event = take(body_of("ConsentWithdrawn"), caller=Caller("shop", frozenset({CallerRole.PRODUCER})))
    assert event.producer == "shop"
