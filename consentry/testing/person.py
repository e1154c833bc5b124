"""Person: what somebody does, in words. Each is an event that goes through intake; each gives the person back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from consentry.answers import Answer, Appended
from consentry.decision import Request
from consentry.events import (
    AccountClosed,
    Actor,
    AgeAsserted,
    AnySubjectEvent,
    ConsentDeferred,
    ConsentGiven,
    ConsentInvalidated,
    ConsentReaffirmed,
    ConsentRefused,
    ConsentRequested,
    ConsentRevoked,
    ConsentWithdrawn,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    PermissionObserved,
    PolicyAccepted,
    PreferenceSet,
    RightsRequested,
    SubjectEvent,
)
from consentry.terms import (
    ActorRole,
    AgeBand,
    AgeSource,
    Channel,
    Effect,
    Expression,
    Operation,
    PermissionState,
    Position,
    Right,
)

if TYPE_CHECKING:
    from consentry.testing.world import World

Names = str | Sequence[str]
Operations = Operation | Sequence[Operation]
E = TypeVar("E", bound=SubjectEvent)
STAFF = "staff-1"
SECOND = "staff-2"
VERIFIER = "verifier"
WAIT_MS = 1_000
"""for what is told to take effect, where that takes time"""


class Person:
    """Somebody in a world. `by` another is a guardian's act."""

    def __init__(self, world: "World", subject: str) -> None:
        self._world = world
        self.subject = world.named(subject)
        """as the service under test has to name them"""
        self.position: Position | None = None
        """of the last event"""
        self.effect: Effect | None = None
        """of the last event: applied, superseded or unchanged; None: not visible in time"""

    # consent

    def gives(
        self,
        purpose: str,
        *,
        data: Names | None = None,
        operations: Operations | None = None,
        recipients: Names | None = None,
        expression: Expression = Expression.SEPARATE,
        policy_version: int | None = None,
        valid_until: int | None = None,
        by: str | None = None,
    ) -> Self:
        """A grant; data and operations that are left out are all that the policy's line names."""
        return self.does(
            self._act(
                ConsentGiven,
                by,
                purpose=purpose,
                policy_version=self._version(policy_version),
                expression=expression,
                valid_until=valid_until,
                **_parts(data, operations, recipients),
            )
        )

    def reaffirms(self, purpose: str, *, data: Names | None = None, by: str | None = None) -> Self:
        parts = _parts(data, None, None)
        version = self._version(None)
        return self.does(self._act(ConsentReaffirmed, by, purpose=purpose, policy_version=version, **parts))

    def is_asked(self, purpose: str, *, data: Names | None = None, scene: str | None = None) -> Self:
        parts = _parts(data, None, None)
        version = self._version(None)
        return self.does(
            self._act(ConsentRequested, None, purpose=purpose, policy_version=version, scene=scene, **parts)
        )

    def defers(self, purpose: str, *, scene: str | None = None) -> Self:
        version = self._version(None)
        return self.does(self._act(ConsentDeferred, None, purpose=purpose, policy_version=version, scene=scene))

    def refuses(
        self, purpose: str | None = None, *, data: Names | None = None, scene: str | None = None, by: str | None = None
    ) -> Self:
        """A no to a request; what is left out means every one."""
        return self.does(self._act(ConsentRefused, by, purpose=purpose, scene=scene, **_parts(data, None, None)))

    def withdraws(
        self,
        purpose: str | None = None,
        *,
        data: Names | None = None,
        operations: Operations | None = None,
        recipients: Names | None = None,
        by: str | None = None,
    ) -> Self:
        """The end of a grant; what is left out means every one."""
        return self.does(self._act(ConsentWithdrawn, by, purpose=purpose, **_parts(data, operations, recipients)))

    # preferences, permissions, rights

    def opts_out(self, purpose: str, *, by: str | None = None) -> Self:
        return self.does(self._act(PreferenceSet, by, purpose=purpose, opted_out=True))

    def opts_in(self, purpose: str, *, by: str | None = None) -> Self:
        return self.does(self._act(PreferenceSet, by, purpose=purpose, opted_out=False))

    def permits(self, permission: str, *, device: str | None = None) -> Self:
        """The phone's own permission, seen on."""
        state = PermissionState.ON
        return self.does(self._act(PermissionObserved, None, permission=permission, state=state, device=device))

    def forbids(self, permission: str, *, device: str | None = None) -> Self:
        """The phone's own permission, seen off."""
        state = PermissionState.OFF
        return self.does(self._act(PermissionObserved, None, permission=permission, state=state, device=device))

    def objects(self, purpose: str | None = None, *, data: Names | None = None, by: str | None = None) -> Self:
        parts = _parts(data, None, None)
        return self.does(self._act(RightsRequested, by, right=Right.OBJECTION, purpose=purpose, **parts))

    def accepts_policy(self, policy_version: int | None = None, *, by: str | None = None) -> Self:
        return self.does(self._act(PolicyAccepted, by, policy_version=self._version(policy_version)))

    def closes_account(self) -> Self:
        """For good."""
        return self.does(self._act(AccountClosed, None, identity_verified=True, method="told by a test"))

    # age and guardians

    def says_age(self, *, birth_date: str | None = None, band: AgeBand | None = None) -> Self:
        """What the person declares: a date (YYYY-MM-DD), or a band."""
        source = AgeSource.DECLARED
        return self.does(self._act(AgeAsserted, None, source=source, birth_date=birth_date, age_band=band))

    def has_verified_age(self, *, birth_date: str | None = None, band: AgeBand | None = None) -> Self:
        fields = {"source": AgeSource.VERIFIED, "birth_date": birth_date, "age_band": band}
        return self.does(self._said_by(AgeAsserted, ActorRole.SYSTEM, VERIFIER, **fields))

    def has_guardian(self, guardian: str, *, relation: str = "parent", verified: bool = True) -> Self:
        """Linked, and unless it is said otherwise verified."""
        self.does(self._act(GuardianLinked, None, guardian=self._world.named(guardian), relation=relation))
        if not verified:
            return self
        named = self._world.named(guardian)
        fields = {"guardian": named, "method": "told by a test"}
        return self.does(self._said_by(GuardianVerified, ActorRole.SYSTEM, VERIFIER, **fields))

    def loses_guardian(self, guardian: str) -> Self:
        """The guardian unlinks itself."""
        named = self._world.named(guardian)
        return self.does(self._act(GuardianUnlinked, guardian, guardian=named, reason="told by a test"))

    # what the controller does to them

    def is_revoked(self, purpose: str | None = None, *, reason: str = "told by a test") -> Self:
        return self.does(self._said_by(ConsentRevoked, ActorRole.CONTROLLER, STAFF, purpose=purpose, reason=reason))

    def is_invalidated(self, purpose: str | None = None, *, reason: str = "told by a test") -> Self:
        return self.does(self._said_by(ConsentInvalidated, ActorRole.CONTROLLER, STAFF, purpose=purpose, reason=reason))

    def is_exempt(
        self, code: str, *, operations: Operations, data: Names, valid_until: int, recipients: Names | None = None
    ) -> Self:
        """An exemption by law is invoked for them, until `valid_until` (ms)."""
        fields = _parts(data, operations, recipients)
        fields |= {"code": code, "legal_ref": "told by a test", "approver": SECOND, "valid_until": valid_until}
        return self.does(self._said_by(ExemptionInvoked, ActorRole.CONTROLLER, STAFF, **fields))

    # all else

    def does(self, event: AnySubjectEvent) -> Self:
        """Any event, as `consentry.events` has it. Raises what intake has against it."""
        appended = self._world.publish(event, wait_ms=WAIT_MS)
        self.position, self.effect = appended.position, appended.effect
        return self

    def does_all(self, *events: AnySubjectEvent) -> tuple[Appended, ...]:
        """A list that is taken whole or not at all."""
        appended = self._world.publish_all(events, wait_ms=WAIT_MS)
        self.position, self.effect = appended[-1].position, appended[-1].effect
        return appended

    def asks(self, operation: Operation | str, data: Names, *, purpose: str, **more: Any) -> Request:
        """The question that a service would ask about them; `more` are the other fields of a Request."""
        return Request(subject=self.subject, operation=Operation(operation), purpose=purpose, data=_names(data), **more)

    def answer(self, request: Request) -> Answer:
        """The answer to it, now."""
        return self._world.check(request)

    def _version(self, said: int | None) -> int:
        return self._world.policy_version if said is None else said

    def _act(self, kind: type[E], by: str | None, **fields: Any) -> E:
        """Of the person, or of a guardian of theirs."""
        if by is None:
            return self._said_by(kind, ActorRole.SUBJECT, self.subject, **fields)
        return self._said_by(kind, ActorRole.GUARDIAN, self._world.named(by), **fields)

    def _said_by(self, kind: type[E], role: ActorRole, name: str, **fields: Any) -> E:
        return kind(
            event_id=uuid4(),
            subject=self.subject,
            occurred_at=self._world.clock(),
            actor=Actor(role=role, id=name),
            channel=Channel.APP,
            **fields,
        )


def _parts(data: Names | None, operations: Operations | None, recipients: Names | None) -> dict[str, Any]:
    return {
        "data": None if data is None else _names(data),
        "operations": None if operations is None else _operations(operations),
        "recipients": None if recipients is None else _names(recipients),
    }


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _operations(operations: Operations) -> tuple[Operation, ...]:
    return (operations,) if isinstance(operations, Operation) else tuple(Operation(name) for name in operations)
