"""The story as it is written, in examples/demo: what happens, what is asked, what has to be answered."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import yaml

from consentry.authzen import Action, CheckContext, EvaluationAnswer, EvaluationRequest, Resource, Subject
from consentry.decision import Request
from consentry.errors import ConsentryError
from consentry.terms import Effect, Operation, Reason
from streams.wording import moment

HERE = Path(__file__).parent
STORY, POLICIES = HERE / "story", HERE / "policies"  # links into examples; in an installed wheel, copies


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the document: a misspelt word is a fault."""


class Question(_Part, frozen=True, kw_only=True):
    """For the check API."""

    subject: str
    operation: Operation
    purpose: str
    data: tuple[str, ...]
    active: bool | None = None
    device: str | None = None

    def as_evaluation(self, min_position: str | None) -> EvaluationRequest:
        kind, _, name = self.subject.partition(":")
        context = CheckContext(data=self.data, active=self.active, device=self.device, min_position=min_position)
        return EvaluationRequest(
            subject=Subject(kind, name),
            action=Action(self.operation),
            resource=Resource("purpose", self.purpose),
            context=context,
        )

    def as_request(self) -> Request:
        return Request(
            subject=self.subject,
            operation=self.operation,
            purpose=self.purpose,
            data=self.data,
            active=bool(self.active),
            device=self.device,
        )


class Expected(_Part, frozen=True, kw_only=True):
    """What the answer has to be."""

    allow: bool
    reason: Reason
    clause: str
    obligations: tuple[str, ...] = ()

    def __str__(self) -> str:
        duties = f", {' and '.join(self.obligations)}" if self.obligations else ""
        return f"{'ALLOW' if self.allow else 'DENY'} {self.reason} by clause {self.clause}{duties}"

    @classmethod
    def of(cls, answer: EvaluationAnswer) -> "Expected":
        """The answer, as far as a story says what it has to be."""
        found = answer.context
        return cls(
            allow=answer.decision,
            reason=found.reason,
            clause=found.clause,
            obligations=tuple(map(str, found.obligations)),
        )


class PolicyFiles(_Part, frozen=True, kw_only=True):
    """A version of the policy: files beside the story, but for what the story says openly."""

    document: str
    text: str
    instead: Mapping[str, str] = {}
    """lines of the document, by the field that each begins with, that say something else in the story"""
    says: str = ""

    def document_with(self, instead: Mapping[str, str]) -> str:
        """The document, with these values in the place of its own. Raises ConsentryError where it has no such line."""
        path = POLICIES / self.document
        document = _read(path)
        for name, value in instead.items():
            document, lines = re.subn(rf"^{re.escape(name)}: .*$", f"{name}: {value}", document, flags=re.MULTILINE)
            if lines != 1:
                raise ConsentryError(f"it has {lines} lines that begin with {name}:, not one", where=str(path))
        return document

    @property
    def wording(self) -> str:
        return _read(POLICIES / self.text)


class Publishing(PolicyFiles, frozen=True, kw_only=True):
    """A version that is published in the course of the story, and takes effect in it."""

    effective_in_s: int

    def dated(self, now: int, effective_at: int) -> Mapping[str, str]:
        """All that the document says instead."""
        return {**self.instead, "announced_at": moment(now), "effective_at": moment(effective_at)}


class Step(_Part, frozen=True, kw_only=True):
    """An event, a question with its answer, or what becomes of the policy."""

    name: str = ""
    says: str = ""
    happens: Mapping[str, Any] | None = None
    """the body for POST /v1/events, but for its id, its time and its channel"""
    ago_s: int = 0
    effect: Effect | None = None
    """what it has to do to the row; None: whatever it does"""
    ask: Question | None = None
    expect: Expected | None = None
    publishes: Publishing | None = None
    in_force: int | None = None
    """waits until this version is"""

    def __post_init__(self) -> None:
        said = [part for part in (self.happens, self.ask, self.publishes, self.in_force) if part is not None]
        if len(said) != 1 or (self.ask is None) != (self.expect is None):
            raise ValueError("a step either happens, or asks and expects, or publishes, or waits for a version")

    def body(self, event_id: UUID, now: int) -> bytes:
        """The event as a service would send it."""
        assert self.happens is not None
        filled = {"event_id": event_id, "channel": "app", "occurred_at": now - self.ago_s * 1000}
        return msgspec.json.encode({**self.happens, **filled})


class Chapter(_Part, frozen=True, kw_only=True):
    title: str
    says: str
    steps: tuple[Step, ...]


class Audit(_Part, frozen=True, kw_only=True):
    """The question that is answered again, as things stood before the named step and after it."""

    title: str
    says: str
    step: str
    ask: Question
    before: Expected
    after: Expected


class Try(_Part, frozen=True, kw_only=True):
    """A command to try when all is left running."""

    says: str
    command: str
    endless: bool = False


class Story(_Part, frozen=True, kw_only=True):
    policy: PolicyFiles
    subscriber: str
    chapters: tuple[Chapter, ...]
    audit: Audit
    try_next: tuple[Try, ...] = ()

    def __post_init__(self) -> None:
        if self.audit.step not in {step.name for chapter in self.chapters for step in chapter.steps if step.happens}:
            raise ValueError(f"no step that happens is named {self.audit.step!r}")

    @property
    def subscriber_path(self) -> Path:
        return STORY / self.subscriber


def load_story(path: Path = STORY / "story.yaml") -> Story:
    """Raises ConsentryError where it is missing or not a story."""
    try:
        return msgspec.convert(yaml.safe_load(_read(path)), Story)
    except (yaml.YAMLError, msgspec.ValidationError) as fault:
        raise ConsentryError(f"it is not a story: {fault}", where=str(path)) from fault


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ConsentryError(
            f"it cannot be read: {fault.strerror}",
            where=str(path),
            remedy="install Consentry from its source tree or a complete wheel: the demo's story comes with both",
        ) from fault
