"""Intake for tests: a valid body of each type, who may send it, and the reference policy in force."""

import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from consentry.errors import InvalidEvent
from consentry.events import AnySubjectEvent, Genesis, PolicyRevised, RecordedPolicyEvent
from consentry.intake import Accepted, Caller, CallerRole, no_rows, parse_submission, take_in
from consentry.policy import Policies, parse_policy
from consentry.settings import Secret, Settings
from consentry.state.row import SubjectState
from consentry.terms import Position, SubjectIds

DOCUMENT = (Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml").read_text(encoding="utf-8")
NOW = 1_790_000_000_000
DAY_MS = 86_400_000
SUBJECT = "account:u-1"
GUARDIAN = "account:g-1"
IDENTITY = Genesis(log_id=UUID(int=9), epoch=1, partitions=12, subject_ids=SubjectIds.PLAIN)
SETTINGS = Settings()
PEPPERED = Settings(subject_pepper=Secret("a pepper of the tests"))
HASHED_IDENTITY = msgspec.structs.replace(IDENTITY, subject_ids=SubjectIds.HASHED)
SOME_ID = "6f1f3c52-61d8-4a1c-a2c8-7a3d0a4f8e10"

PERSON = {"role": "subject", "id": SUBJECT}
A_GUARDIAN = {"role": "guardian", "id": GUARDIAN}
CONTROLLER = {"role": "controller", "id": "staff-7"}
SYSTEM = {"role": "system", "id": "feed-service"}
GRANT = {"purpose": "publish.content", "policy_version": 1, "expression": "separate"}
EXEMPTION = {
    "code": "a",
    "operations": ["use"],
    "data": ["phone"],
    "legal_ref": "order 12/2026",
    "approver": "staff-8",
}

# type -> (the caller's role, the actor, its own fields)
VALID: dict[str, tuple[CallerRole, dict[str, str], dict[str, Any]]] = {
    "ConsentRequested": (CallerRole.PRODUCER, SYSTEM, {"purpose": "publish.content", "policy_version": 1}),
    "ConsentDeferred": (CallerRole.PRODUCER, PERSON, {"purpose": "publish.content", "policy_version": 1}),
    "ConsentGiven": (CallerRole.PRODUCER, PERSON, GRANT),
    "ConsentReaffirmed": (CallerRole.PRODUCER, PERSON, {"purpose": "publish.content", "policy_version": 1}),
    "ConsentRefused": (CallerRole.PRODUCER, PERSON, {"purpose": "publish.content", "scene": "start"}),
    "ConsentWithdrawn": (CallerRole.PRODUCER, PERSON, {}),
    "ConsentRevoked": (CallerRole.OPERATOR, CONTROLLER, {"reason": "the purpose has ended"}),
    "ConsentInvalidated": (CallerRole.OPERATOR, CONTROLLER, {"reason": "the notice was wrong"}),
    "PolicyAccepted": (CallerRole.PRODUCER, PERSON, {"policy_version": 1}),
    "PreferenceSet": (CallerRole.PRODUCER, PERSON, {"purpose": "ads.delivery", "opted_out": True}),
    "PermissionObserved": (
        CallerRole.PRODUCER,
        PERSON,
        {"permission": "camera", "state": "on", "device": "device:d-1"},
    ),
    "AgeAsserted": (CallerRole.PRODUCER, PERSON, {"source": "declared", "birth_date": "2010-02-28"}),
    "GuardianLinked": (CallerRole.PRODUCER, PERSON, {"guardian": GUARDIAN, "relation": "mother"}),
    "GuardianVerified": (CallerRole.GUARDIAN_VERIFIER, SYSTEM, {"guardian": GUARDIAN, "method": "identity card"}),
    "GuardianUnlinked": (CallerRole.PRODUCER, A_GUARDIAN, {"guardian": GUARDIAN, "reason": "moved out"}),
    "IdentityLinked": (CallerRole.PRODUCER, PERSON, {"device": "device:d-1", "account": SUBJECT}),
    "DataCollected": (CallerRole.PRODUCER, SYSTEM, {"purpose": "publish.content", "decision_position": "e1.p3.o8"}),
    "ExemptionInvoked": (CallerRole.OPERATOR, CONTROLLER, {**EXEMPTION, "valid_until": NOW + DAY_MS}),
    "ExemptionEnded": (CallerRole.OPERATOR, CONTROLLER, EXEMPTION),
    "RightsRequested": (CallerRole.PRODUCER, PERSON, {"right": "objection", "purpose": "ads.delivery"}),
    "RightsResolved": (
        CallerRole.OPERATOR,
        CONTROLLER,
        {"request": SOME_ID, "outcome": "granted", "reason": "it was due"},
    ),
    "AccountClosed": (CallerRole.PRODUCER, PERSON, {"identity_verified": True, "method": "password and SMS"}),
    "QuarantineReleased": (
        CallerRole.OPERATOR,
        CONTROLLER,
        {"position": "consent-intake.app-0@7", "disposition": "no_effect", "reason": "a test", "approver": "staff-8"},
    ),
    "ObligationFulfilled": (CallerRole.PRODUCER, SYSTEM, {"obligation_id": SOME_ID, "outcome": "deleted"}),
}
NOBODYS: dict[str, dict[str, Any]] = {
    "SubjectQuarantined": {"position": "consent-intake.app-0@7", "error": "UNDECODABLE"},
    "SubjectErased": {"request": SOME_ID},
}


@cache
def policies_of(document: str = DOCUMENT) -> Policies:
    """The policy published and in force."""
    policy = parse_policy(document)
    event = PolicyRevised(
        event_id=UUID(int=1),
        policy=policy.id,
        occurred_at=1,
        version=policy.version,
        effective_at=policy.effective_at,
        document=document,
        text="the wording",
        text_hash="0" * 64,
    )
    return Policies().after(RecordedPolicyEvent(Position(1, 0, 1), 1, event))


def body_of(type_name: str, **changes: Any) -> dict[str, Any]:
    """A valid body of a type, with changes; `...` leaves a field out."""
    if type_name in VALID:
        _, actor, fields = VALID[type_name]
    else:
        actor, fields = SYSTEM, NOBODYS[type_name]
    body = {
        "type": type_name,
        "subject": SUBJECT,
        "occurred_at": NOW - 1_000,
        "actor": actor,
        "channel": "app",
        **fields,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def caller_for(type_name: str) -> Caller:
    return Caller("tests", frozenset({VALID[type_name][0]}))


_NUMBERS = itertools.count(1)


def new_id() -> UUID:
    """Ids that count: chance is an argument."""
    return UUID(int=next(_NUMBERS))


def take_all(
    body: object,
    *,
    caller: Caller,
    settings: Settings = SETTINGS,
    rows: dict[str, SubjectState] | None = None,
    policies: Policies | None = None,
    **more: Any,
) -> tuple[Accepted, ...]:
    """At a door that sees `rows`, or, without them, at one that sees none."""
    return take_in(
        parse_submission(json.dumps(body).encode(), settings),
        caller=caller,
        policies=policies_of() if policies is None else policies,
        settings=settings,
        **{
            "identity": HASHED_IDENTITY if settings.subject_pepper else IDENTITY,
            "now": NOW,
            "new_id": new_id,
            "row_of": no_rows if rows is None else rows.get,
            **more,
        },
    )


def take(body: dict[str, Any], **more: Any) -> AnySubjectEvent:
    """The event that intake makes of a body, from a caller who may send it unless another is given."""
    more["caller"] = more.get("caller") or caller_for(body["type"])
    (accepted,) = take_all(body, **more)
    return accepted.event


def refused(body: dict[str, Any], **more: Any) -> InvalidEvent:
    """The refusal of a body that intake must not take."""
    more["caller"] = more.get("caller") or caller_for(body["type"])
    try:
        taken = take_all(body, **more)
    except InvalidEvent as fault:
        return fault
    raise AssertionError(f"intake took {taken}")


def places(fault: InvalidEvent) -> list[str]:
    return [problem.where for problem in fault.problems]
