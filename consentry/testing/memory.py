"""InMemoryConsentry: intake, log, fold and decide in one object, as a service meets them through a client."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import msgspec

from consentry.answers import Answer, Appended, Doubt, denied_for
from consentry.decision import Prompt, Request, decide
from consentry.errors import Unavailable
from consentry.events import AnyPolicyEvent, AnySubjectEvent, Recorded, RecordedPolicyEvent
from consentry.intake import (
    Accepted,
    Caller,
    CallerRole,
    Submission,
    fault_of_subject,
    stored_device,
    stored_subject,
    take_in,
)
from consentry.intake.faults import Fault, refusal
from consentry.intake.subjects import fault_of_device, kind_of
from consentry.intake.submission import UNNAMED
from consentry.partition import partition_of
from consentry.policy import Policies, parse_policy, prepare_revision
from consentry.settings import Settings
from consentry.state.fold import effect_of
from consentry.state.recent import content_hash
from consentry.state.row import SubjectState
from consentry.terms import Effect, Position, SubjectIds
from consentry.testing.asynchronous import AsyncInMemoryConsentry
from consentry.testing.clock import MovingClock
from consentry.testing.log import MemoryLog
from consentry.testing.person import Person

DAY_MS = 86_400_000
EVERY_ROLE = frozenset(CallerRole)
CALLER = "a-test"


class InMemoryConsentry:
    """It has the methods of ConsentClient and the check of ConsentReplica, and answers as they would.

    Each event takes a millisecond. `doubt` makes every check one that could not be asked; `staleness_ms` is how old
    the state is said to be; `holds_back()` lets nothing become visible until `catch_up()`.
    """

    def __init__(
        self,
        policy: Path | str,
        *,
        wording: str | None = None,
        clock: MovingClock | None = None,
        roles: Iterable[CallerRole] = EVERY_ROLE,
        settings: Settings | None = None,
    ) -> None:
        """`policy`: the document's path, or the document. Its wording is read from beside it, unless it is given.

        Without a `clock`, it is a day after the policy took effect. `roles`: those of the service under test. Raises
        InvalidPolicy.
        """
        document = _document_of(policy)
        self.settings = settings or Settings()
        self.clock = clock or MovingClock(_parsed(document).effective_at + DAY_MS)
        self.policies = _first_published(document, wording or _wording_beside(policy, document), self.clock())
        self.doubt: Doubt | None = None
        self.log = MemoryLog(SubjectIds.HASHED if self.settings.subject_pepper else SubjectIds.PLAIN)
        self._caller = Caller(CALLER, frozenset(roles))
        self._written: dict[UUID, tuple[bytes, Appended]] = {}

    # the terms

    @property
    def policy_version(self) -> int:
        """In force; 0 where none is."""
        policy = self.policies.in_force(self.clock())
        return 0 if policy is None else policy.version

    def publish_policy(self, policy: Path | str, *, wording: str | None = None) -> Self:
        """A version of the policy: known from now on, in force when it says. Raises InvalidPolicy as publishing does.

        Where no wording is found, that of the version before stays.
        """
        document, now = _document_of(policy), self.clock()
        text = wording or _wording_beside(policy, document) or self.policies.revisions[-1].event.text
        revised = prepare_revision(document, text, self.policies, now, event_id=uuid4(), producer=CALLER)
        return self.declare(revised)

    def declare(self, event: AnyPolicyEvent) -> Self:
        """What concerns everybody: that the service ends, that its controller changes."""
        last = self.policies.position
        assert last is not None  # a world begins with a policy
        recorded = RecordedPolicyEvent(last._replace(offset=last.offset + 1), self.clock(), event)
        self.policies = self.policies.after(recorded)
        return self

    # what happens

    def person(self, subject: str) -> Person:
        """Whose acts a test tells: `person("account:ada").gives("newsletter.weekly")`."""
        return Person(self, subject)

    def named(self, subject: str) -> str:
        return subject

    def publish(
        self,
        event: AnySubjectEvent,
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,  # noqa: ARG002  (as ConsentClient has it)
    ) -> Appended:
        """Through intake into the log, and folded. Raises what ConsentClient raises."""
        return self._publish([event], wait_ms, min_position, idempotency_key, is_list=False)[0]

    def publish_all(
        self,
        events: Sequence[AnySubjectEvent],
        *,
        wait_ms: int = 0,
        min_position: Position | None = None,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,  # noqa: ARG002  (as ConsentClient has it)
    ) -> tuple[Appended, ...]:
        """A list that is taken whole or not at all."""
        return self._publish(events, wait_ms, min_position, idempotency_key, is_list=True)

    def _publish(
        self,
        events: Sequence[AnySubjectEvent],
        wait_ms: int,
        min_position: Position | None,
        key: str | None,
        *,
        is_list: bool,
    ) -> tuple[Appended, ...]:
        if not 0 <= wait_ms <= self.settings.visible_timeout_ms:
            what = f"{wait_ms} is no number of ms from 0 to {self.settings.visible_timeout_ms}"
            raise refusal([Fault(where="?wait", what=what, status=400, code="MALFORMED")])
        if self.doubt is not None:
            raise Unavailable(f"as the test says: {self.doubt}", remedy="publish the same event again")
        if min_position is not None and min_position > self.log.folded_to(min_position.partition):
            raise Unavailable(f"{min_position} is not visible yet", remedy="publish the same event again")
        accepted = self._taken(events, key, is_list=is_list)
        known = [self._written.get(item.event.event_id) for item in accepted]
        if all(known):
            return tuple(
                self._again(item, before, wait_ms) for item, before in zip(accepted, known, strict=True) if before
            )
        appended: list[Appended] = []
        for item in accepted:
            position = appended[item.after].position if item.after is not None else None
            event = item.event if position is None else item.with_position(position)
            appended.append(self._append(event, wait_ms))
        return tuple(appended)

    def _taken(self, events: Sequence[AnySubjectEvent], key: str | None, *, is_list: bool) -> tuple[Accepted, ...]:
        submissions = [
            Submission(event if key is None else _unnamed(event), f"/{place}" if is_list else "")
            for place, event in enumerate(events)
        ]
        return take_in(
            submissions,
            caller=self._caller,
            policies=self.policies,
            identity=self.log.identity,
            settings=self.settings,
            now=self.clock(),
            new_id=uuid4,
            key=key,
            row_of=self.log.row,
        )

    def _append(self, event: AnySubjectEvent, wait_ms: int) -> Appended:
        before = self.log.row(event.subject) or self.log.unknown(event.subject)
        recorded = self.log.append(event, self.clock())
        self.clock.advance(milliseconds=1)
        effect = self._effect(before, recorded) if wait_ms and self.log.folds_at_once else None
        appended = Appended(event_id=str(event.event_id), position=recorded.position, effect=effect)
        self._written[event.event_id] = (content_hash(event), appended)
        return appended

    def _effect(self, before: SubjectState, recorded: Recorded) -> Effect:
        after = self.log.row(recorded.event.subject)
        assert after is not None  # it has just been folded
        return effect_of(before, after, recorded)

    def _again(self, item: Accepted, before: tuple[bytes, Appended], wait_ms: int) -> Appended:
        content, appended = before
        if content != content_hash(item.event):
            what = "this event is known and says something else"
            raise refusal([Fault(where="/event_id", what=what, status=409, code="EVENT_ID_CONFLICT")])
        effect = Effect.UNCHANGED if wait_ms else None
        return Appended(event_id=appended.event_id, position=appended.position, effect=effect)

    # what is asked

    def check(self, request: Request, *, deadline_ms: int | None = None) -> Answer:  # noqa: ARG002
        """May this be done, now? By the same `decide`."""
        if self.doubt is not None:
            return denied_for(self.doubt, "as the test says")
        fault = self._fault_of(request)
        if fault is not None:
            return denied_for(Doubt.REFUSED, fault)
        request = self._as_stored(request)
        decision = decide(self.log.view(request.subject), self.policies, request, self.clock())
        return Answer(**{name: getattr(decision, name) for name in decision.__struct_fields__})

    def _fault_of(self, request: Request) -> str | None:
        """What a node would refuse to be asked."""
        fault = fault_of_subject(request.subject, self.settings)
        if fault is None and request.device is not None:
            fault = fault_of_device(request.device, self.settings)
        wanted = request.min_position
        if fault is not None or wanted is None or wanted.epoch != self.log.identity.epoch:
            return fault
        own = partition_of(stored_subject(request.subject, self.settings), self.log.identity.partitions)
        return (
            None if wanted.partition == own else f"{wanted} is not in partition {own}, where this subject's records are"
        )

    def _as_stored(self, request: Request) -> Request:
        """As the log names them; and a subject of a type that the policy does not know is asked about with no data."""
        policy = self.policies.in_force(self.clock())
        known = policy is not None and kind_of(request.subject) in policy.subject_types
        return msgspec.structs.replace(
            request,
            subject=stored_subject(request.subject, self.settings),
            device=None if request.device is None else stored_device(request.device, self.settings),
            data=request.data if known else (),
        )

    def check_many(
        self,
        requests: Sequence[Request],
        *,
        deadline_ms: int | None = None,  # noqa: ARG002
    ) -> tuple[Answer, ...]:
        return tuple(self.check(request) for request in requests)

    def prompt(self, request: Request, *, deadline_ms: int | None = None) -> Prompt:  # noqa: ARG002
        return self.check(request).prompt

    @property
    def awaited(self) -> AsyncInMemoryConsentry:
        """The same for code that awaits its client."""
        return AsyncInMemoryConsentry(self)

    def close(self) -> None:
        """There is nothing to close."""

    # how fresh it is

    @property
    def staleness_ms(self) -> int | None:
        """How old the state is said to be; None: nothing proves it. Set it to see what a service does then."""
        return self.log.age_ms

    @staleness_ms.setter
    def staleness_ms(self, age_ms: int | None) -> None:
        self.log.age_ms = age_ms

    def hold_back(self) -> None:
        """From now on what is published is not visible, as where a worker lags."""
        self.log.folds_at_once = False

    def catch_up(self) -> None:
        """All that was published is visible."""
        self.log.folds_at_once = True
        self.log.fold()


def _document_of(policy: Path | str) -> str:
    return policy if isinstance(policy, str) else policy.read_text(encoding="utf-8")


_parsed = cache(parse_policy)
"""a suite builds a world for each test, of one and the same document: it is parsed once"""


@cache
def _first_published(document: str, wording: str | None, now: int) -> Policies:
    revised = prepare_revision(
        document, wording or "No wording was given.", Policies(), now, event_id=uuid4(), producer=CALLER
    )
    return Policies().after(RecordedPolicyEvent(Position(1, 0, 1), now, revised))


def _wording_beside(policy: Path | str, document: str) -> str | None:
    if isinstance(policy, str):
        return None
    file = policy.with_name(_parsed(document).text)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _unnamed(event: AnySubjectEvent) -> AnySubjectEvent:
    return msgspec.structs.replace(event, event_id=UNNAMED)
