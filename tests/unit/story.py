"""Stories: events given as YAML, folded by the real fold, and a question asked at their end. For decision tests."""

import json
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import yaml
from casebook import Case, Telling, body_of, milliseconds, patched, request_of, revised

from consentry.decision import Decision, Request, View, decide
from consentry.events import (
    AnySubjectEvent,
    ControllerChanged,
    IncidentDeclared,
    PolicyRevised,
    Recorded,
    RecordedPolicyEvent,
    ServiceDiscontinued,
)
from consentry.policy import Policies, prepare_revision
from consentry.state.fold import fold
from consentry.state.row import SubjectState
from consentry.terms import Position

PROJECT = Path(__file__).parents[2]
DOCUMENT = (PROJECT / "examples/policies/reference-v1.yaml").read_text(encoding="utf-8")
TEXT = (PROJECT / "examples/policies/privacy-policy.txt").read_text(encoding="utf-8")
SUBJECT = "account:ann"
START = 1_767_916_800_000
"""2026-01-09T00:00:00Z, a day after the first version takes effect"""
MINUTE = 60_000
ENVELOPE = {"subject": SUBJECT, "actor": {"role": "subject", "id": SUBJECT}, "channel": "app"}


def event_id(place: int | str) -> UUID:
    return uuid5(NAMESPACE_URL, f"event {place}")


def published(policies: Policies, document: str, text: str = TEXT, *, now: int = 0) -> Policies:
    """The policies after this revision, checked as a publisher would."""
    revision = prepare_revision(document, text, policies, now, event_id=event_id(document))
    return recorded(policies, revision, now)


def recorded(
    policies: Policies,
    event: PolicyRevised | ServiceDiscontinued | ControllerChanged | IncidentDeclared,
    now: int = 0,
) -> Policies:
    offset = 1 if policies.position is None else policies.position.offset + 1
    return policies.after(RecordedPolicyEvent(Position(1, 0, offset), now, event))


@cache
def first_version() -> Policies:
    return published(Policies(), DOCUMENT)


def events_of(given: list[dict[str, dict[str, Any]]]) -> list[Recorded]:
    """One minute after another, unless `at` says how long after the start; `occurred` says when by its own clock."""
    history = []
    recorded_at = START
    for place, entry in enumerate(given):
        ((kind, fields),) = entry.items()
        fields = dict(fields or {})
        recorded_at = START + milliseconds(fields.pop("at")) if "at" in fields else recorded_at + MINUTE
        occurred_at = START + milliseconds(fields.pop("occurred")) if "occurred" in fields else recorded_at
        if "valid_for" in fields:
            fields["valid_until"] = recorded_at + milliseconds(fields.pop("valid_for"))
        body = {**ENVELOPE, "type": kind, "event_id": str(event_id(place)), "occurred_at": occurred_at, **fields}
        event = msgspec.convert(body, AnySubjectEvent)
        history.append(Recorded(Position(1, 3, place + 1), recorded_at, event))
    return history


def row_of(history: list[Recorded]) -> SubjectState | None:
    """What the log says of the subject; None when it says nothing."""
    if not history:
        return None
    row = SubjectState.unknown(history[0].event.subject, 1, 3)
    for record in history:
        row = fold(row, record)
    return row


def ask(row: SubjectState | None, policies: Policies, request: dict[str, Any], now: int, staleness: int) -> Decision:
    wanted = dict(request)
    if "min_position" in wanted:
        wanted["min_position"] = Position.parse(wanted["min_position"])
    asked = msgspec.convert({"subject": SUBJECT, "active": False, **wanted}, Request)
    position = Position(1, 3, 100) if row is None else row.position._replace(offset=max(100, row.position.offset))
    return decide(View(row, position, staleness), policies, asked, now)


# cases, as the casebook tells them


def history_of(case: Case) -> list[Recorded]:
    """One minute after another, unless `at` says how long after the start."""
    telling = Telling(case.event_id, lambda place: f"e1.p3.o{place + 1}")
    history = []
    recorded_at = START
    for place, told in enumerate(case.given):
        recorded_at = START + milliseconds(told.fields["at"]) if "at" in told.fields else recorded_at + MINUTE
        event = msgspec.convert(body_of(case, place, recorded_at, telling), AnySubjectEvent)
        history.append(Recorded(Position(1, 3, place + 1), recorded_at, event))
    return history


def policies_of(case: Case) -> Policies:
    """The reference policy, with what the case changes, revises and announces. A revision takes effect at its `at`."""
    if not case.terms and not case.revisions and not case.announced:
        return first_version()
    policies = versions_of(json.dumps([case.terms, case.revisions]))
    for entry in case.announced:
        ((kind, fields),) = entry.items()
        body = {
            "type": kind,
            "event_id": str(event_id(kind)),
            "policy": "newsfeed-app",
            "occurred_at": START,
            **fields,
            "effective_at": START + milliseconds(fields["effective_at"]),
        }
        policies = recorded(policies, msgspec.convert(body, ServiceDiscontinued | ControllerChanged))
    return policies


@cache
def versions_of(told: str) -> Policies:
    """The first version with its changes and those that follow it; `told` as JSON, so that each is made once."""
    terms, revisions = json.loads(told)
    document, text = patched(DOCUMENT, terms), TEXT
    policies = published(Policies(), document)
    for version, revision in enumerate(revisions, start=2):
        document, text = revised(document, text, version, START + milliseconds(revision["at"]), revision)
        policies = published(policies, document, text)
    return policies


def answer_to(case: Case, history: list[Recorded]) -> Decision:
    """Asked a second after the last event, unless `at` says how long after the start."""
    last = history[-1].recorded_at if history else START
    now = START + milliseconds(case.when["at"]) if "at" in case.when else last + 1_000
    return ask(row_of(history), policies_of(case), request_of(case), now, case.when.get("staleness", 100))


def chapter(name: str) -> list[Any]:
    return list(yaml.safe_load((Path(__file__).parent / "cases" / f"{name}.yaml").read_text(encoding="utf-8")))
