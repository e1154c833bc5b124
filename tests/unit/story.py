"""Stories: events given as YAML, folded by the real fold, and a question asked at their end. For decision tests."""

from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import yaml

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
from consentry.policy.fields import root_of
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


def milliseconds(duration: str) -> int:
    return root_of(duration).duration()


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


def chapter(name: str) -> list[Any]:
    return list(yaml.safe_load((Path(__file__).parent / "cases" / f"{name}.yaml").read_text(encoding="utf-8")))
