"""A stateful model: several people, guardians, devices, clocks and versions, and what must hold after every event."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unit.story import DOCUMENT, START, TEXT, published, recorded

from consentry.decision import Decision, Prompt, Request, View, decide
from consentry.events import AnySubjectEvent, ControllerChanged, Recorded, ServiceDiscontinued
from consentry.partition import partition_of
from consentry.policy import Policies
from consentry.state.direction import tightens
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState
from consentry.terms import Position, Reason

ADA, KID, PHONE = "account:ada", "account:kid", "device:phone"
SUBJECTS = (ADA, KID, PHONE)
GUARDIANS = ("account:mum", "account:dad")
HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
LINES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...] | None]] = {
    "account.profile": (("use",), ("gender",), None),
    "account.registration": (("use",), ("phone",), None),
    "recommendation.nearby": (("collect", "use"), ("gps_precise", "base_station"), None),
    "recommendation.city": (("use",), ("ip_city",), None),
    "security.operation": (("use",), ("service_log",), None),
    "partner.login": (("share",), ("nickname", "account_balance"), ("gamehub",)),
    "partner.statistics": (("share",), ("crowd_profile",), ("statco",)),
    "export.overseas": (("export",), ("behaviour",), ("cloud-sg",)),
}
"""purpose -> operations, data, recipients of what is granted and asked about"""
QUESTIONS = tuple(
    msgspec.convert({"subject": "", "purpose": purpose, "active": True, **rest}, Request)
    for purpose, rest in [
        ("account.profile", {"operation": "use", "data": ["gender"]}),
        ("account.registration", {"operation": "use", "data": ["phone"]}),
        ("recommendation.nearby", {"operation": "collect", "data": ["gps_precise"]}),
        ("recommendation.nearby", {"operation": "use", "data": ["base_station"]}),
        ("recommendation.city", {"operation": "use", "data": ["ip_city"]}),
        ("security.operation", {"operation": "use", "data": ["service_log"]}),
        ("security.operation", {"operation": "store", "data": ["service_log"]}),
        ("partner.login", {"operation": "share", "data": ["nickname", "account_balance"], "recipient": "gamehub"}),
        (
            "partner.statistics",
            {"operation": "share", "data": ["crowd_profile"], "recipient": "statco", "form": "deidentified"},
        ),
        (
            "export.overseas",
            {
                "operation": "export",
                "data": ["behaviour"],
                "recipient": "cloud-sg",
                "transfer_mechanism": "certification",
            },
        ),
        ("legal.obligation", {"operation": "store", "data": ["gender"]}),
    ]
)
PROTECTIVE = frozenset({"security.operation"})
WITHOUT_GUARDIAN = frozenset("abcdk")
REVISIONS = (
    ("basis: consent, data: {optional: [gender", "basis: consent, separate: true, data: {optional: [gender"),
    ("storage_location: CN", "storage_location: SG"),
    ("1.2.c, basis: necessity, opt_out: true", "1.2.c, basis: necessity"),
    ("third_party: [gamehub, shopmall]", "third_party: [gamehub]"),
)
"""narrowing; material for everything; a right reduced; a recipient dropped"""
EXEMPTED = {"operations": ["store", "use"], "data": ["gender", "phone"], "legal_ref": "act 5"}
_ABOUT_GUARDIANS = ("GuardianLinked", "GuardianVerified", "PolicyAccepted", "GuardianUnlinked")
seeds = st.integers(0, 2**32)


class Promise(RuleBasedStateMachine):
    """Each rule lays one event into its subject's log; the answers before and after it are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.offset = 0
        self.rows: dict[str, SubjectState] = {}
        self.log: dict[str, list[Recorded]] = {subject: [] for subject in SUBJECTS}
        self.policies = Policies()
        self.document = DOCUMENT

    @initialize(age_days=st.sampled_from([10 * 365, 16 * 365, 18 * 365 + 4 - 2, 18 * 365 + 10]))
    def begin(self, age_days: int) -> None:
        self.policies = published(Policies(), self.document, now=0)
        self.born = datetime.fromtimestamp(START / 1_000, UTC).date() - timedelta(days=age_days)
        self._lay(KID, "AgeAsserted", role="system", actor="verifier", source="verified", birth_date=str(self.born))

    # what happens

    @rule(seed=seeds)
    def a_grant(self, seed: int) -> None:
        dice = Random(seed)
        subject = dice.choice(SUBJECTS)
        purpose = dice.choice(list(LINES))
        operations, data, recipients = LINES[purpose]
        fields: dict[str, Any] = {
            "purpose": purpose,
            "operations": operations,
            "data": data,
            "recipients": recipients,
            "policy_version": dice.randint(1, len(self.policies.revisions)),
            "expression": dice.choice(["separate", "separate", "expressed", "implied"]),
        }
        if dice.random() < 0.2:
            fields["valid_until"] = self.now + dice.choice([1, HOUR, 3 * DAY])
        if dice.random() < 0.4 and subject in self.rows:
            fields["expected_position"] = str(self.rows[subject].tightened_position or Position(1, 0, 0))
        self._lay(subject, "ConsentGiven", **self._somebody(dice, subject), **fields)

    @rule(seed=seeds)
    def a_stop(self, seed: int) -> None:
        dice = Random(seed)
        subject = dice.choice(SUBJECTS)
        kind = dice.choice(["ConsentWithdrawn", "ConsentRefused", "ConsentRevoked", "PreferenceSet", "RightsRequested"])
        purpose = dice.choice(list(LINES))
        who = self._somebody(dice, subject)
        if kind == "ConsentRevoked":
            self._lay(subject, kind, role="controller", actor="operator", purpose=purpose, reason="retired")
        elif kind == "PreferenceSet":
            self._lay(subject, kind, **who, purpose=purpose, opted_out=True)
        elif kind == "RightsRequested":
            self._lay(subject, kind, **who, purpose=purpose, right="objection")
        else:
            self._lay(subject, kind, **who, **({} if dice.random() < 0.15 else {"purpose": purpose}))

    @rule(seed=seeds)
    def an_opt_out_is_lifted(self, seed: int) -> None:
        dice = Random(seed)
        subject = dice.choice(SUBJECTS)
        purpose = dice.choice(list(LINES))
        self._lay(subject, "PreferenceSet", **self._somebody(dice, subject), purpose=purpose, opted_out=False)

    @rule(seed=seeds)
    def a_permission_is_seen(self, seed: int) -> None:
        dice = Random(seed)
        subject = dice.choice(SUBJECTS)
        device = dice.choice(["phone", "tablet", None])
        self._lay(
            subject,
            "PermissionObserved",
            role="subject",
            actor=subject,
            permission="location",
            state=dice.choice(["on", "on", "off"]),
            **({} if device is None else {"device": device}),
        )

    @rule(seed=seeds)
    def something_about_a_guardian(self, seed: int) -> None:
        dice = Random(seed)
        subject, guardian = dice.choice((KID, KID, ADA)), dice.choice(GUARDIANS)
        kind = dice.choice([*_ABOUT_GUARDIANS, "GuardianVerified"])
        by_guardian = {"role": "guardian", "actor": guardian}
        if kind == "GuardianLinked":
            self._lay(subject, kind, **by_guardian, guardian=guardian, relation="parent")
        elif kind == "GuardianVerified":
            self._lay(subject, kind, role="system", actor="verifier", guardian=guardian, method="id")
        elif kind == "PolicyAccepted":
            version = dice.randint(1, len(self.policies.revisions))
            self._lay(subject, kind, **(by_guardian if dice.random() < 0.8 else _own(subject)), policy_version=version)
        elif dice.random() < 0.3:
            self._lay(subject, kind, role="controller", actor="operator", guardian=guardian, reason="disputed")

    @rule(seed=seeds)
    def an_age_is_said(self, seed: int) -> None:
        dice = Random(seed)
        said: dict[str, Any] = {"age_band": dice.choice(["child", "minor", "adult"])}
        if dice.random() < 0.5:
            said = {"birth_date": str(date(dice.choice([1980, 2008, 2009, 2013]), 1, dice.randint(1, 28)))}
        source = dice.choice(["declared", "inferred", "verified"])
        role, actor = {"declared": ("subject", ADA)}.get(source, ("system", "checks"))
        self._lay(ADA, "AgeAsserted", role=role, actor=actor, source=source, **said)

    @rule(code=st.sampled_from("abekg"), seed=seeds)
    def an_exemption(self, code: str, seed: int) -> None:
        dice = Random(seed)
        subject = dice.choice(SUBJECTS)
        more = {"code": code, "approver": "counsel", **EXEMPTED}
        if dice.random() < 0.7:
            more["valid_until"] = self.now + dice.choice([HOUR, WEEK])
            self._lay(subject, "ExemptionInvoked", role="controller", actor="operator", **more)
        else:
            self._lay(subject, "ExemptionEnded", role="controller", actor="operator", **more)

    @rule(subject=st.sampled_from(SUBJECTS), seed=seeds)
    def an_account_is_closed(self, subject: str, seed: int) -> None:
        if Random(seed).random() < 0.2:
            self._lay(subject, "AccountClosed", **_own(subject), identity_verified=True, method="call")

    @rule(subject=st.sampled_from(SUBJECTS), seed=seeds)
    def a_record_is_repeated(self, subject: str, seed: int) -> None:
        """The same event again, later in the log: whatever it was, nothing changes."""
        if not self.log[subject]:
            return
        former = Random(seed).choice(self.log[subject][-20:])
        before = self._answers(subject)
        self._append(subject, former.event)
        assert self._answers(subject) == before

    @rule(hours=st.sampled_from([1, 24, 24 * 3, 24 * 8]))
    def time_passes(self, hours: int) -> None:
        self._nothing_changes_before_it_is_said_to(hours * HOUR)
        self.now += hours * HOUR

    @rule(patch=st.sampled_from(REVISIONS))
    @precondition(lambda self: len(self.policies.revisions) in (1, 2))
    def a_revision(self, patch: tuple[str, str]) -> None:
        version = len(self.policies.revisions) + 1
        last = self.policies.revisions[-1]
        effective = max(self.now + WEEK, last.effective_at + 1)
        text = self.document.replace(*patch)
        for old, new in (
            (f"version: {version - 1}\n", f"version: {version}\n"),
            (_effective(last.effective_at), _effective(effective)),
        ):
            assert old in text
            text = text.replace(old, new, 1)
        self.policies = published(self.policies, text, TEXT, now=self.now)
        self.document = text

    @rule(seed=seeds)
    def the_service_changes_hands_or_ends(self, seed: int) -> None:
        dice = Random(seed)
        common: dict[str, Any] = {
            "event_id": UUID(int=dice.getrandbits(128)),
            "policy": "newsfeed-app",
            "occurred_at": self.now,
            "effective_at": self.now + dice.choice([1, DAY]),
        }
        if dice.random() < 0.08:
            self.policies = recorded(self.policies, ServiceDiscontinued(**common), self.now)
        elif dice.random() < 0.3:
            sale = ControllerChanged(successor="other", terms_kept=dice.random() < 0.5, **common)
            self.policies = recorded(self.policies, sale, self.now)

    # what holds

    @invariant()
    def every_allow_names_what_it_rests_on(self) -> None:
        for subject in SUBJECTS:
            known = {str(each.event.event_id) for each in self.log[subject]}
            for answer in self._answers(subject):
                if not answer.allow:
                    continue
                assert answer.clause
                assert (bool(answer.evidence)) == (answer.reason in (Reason.CONSENT, Reason.EXEMPT))
                assert set(answer.evidence) <= known

    @invariant()
    def a_minor_without_a_verified_guardian_is_allowed_only_what_protects(self) -> None:
        if not self.policies.revisions or self._of_age():
            return
        row = self.rows[KID]
        facts = row.circumstances
        if facts is not None and any(each.verified for each in facts.guardianships):
            return
        codes = {str(each.event.event_id): getattr(each.event, "code", "") for each in self.log[KID]}
        for question, answer in zip(QUESTIONS, self._answers(KID), strict=True):
            if answer.allow and question.purpose not in PROTECTIVE:
                assert answer.reason is Reason.EXEMPT
                assert {codes[event] for event in answer.evidence} <= WITHOUT_GUARDIAN

    @invariant()
    def without_a_log_only_necessity_allows(self) -> None:
        if not self.policies.revisions:
            return
        for question in QUESTIONS:
            answer = self._ask("account:nobody", question, self.now)
            assert not answer.allow or answer.reason is Reason.NECESSARY

    # how

    def _of_age(self) -> bool:
        today = (datetime.fromtimestamp(self.now / 1_000, UTC) + timedelta(hours=8)).date()
        birthday = (self.born.month, self.born.day)
        return today.year - self.born.year - ((today.month, today.day) < birthday) >= 18

    def _somebody(self, dice: Random, subject: str) -> dict[str, str]:
        if subject == KID and dice.random() < 0.5:
            return {"role": "guardian", "actor": dice.choice(GUARDIANS)}
        return _own(subject)

    def _lay(self, subject: str, kind: str, *, role: str, actor: str, **fields: Any) -> None:
        dice = Random(self.offset)
        self.now += dice.choice([1, 1_000, 60_000])
        said = {name: value for name, value in fields.items() if value is not None}
        occurred_at = self.now - dice.choice([0, 0, 0, 0, 1_500, 2 * HOUR]) + dice.choice([0, 0, 0, 0, 400_000])
        body = {
            "type": kind,
            "event_id": str(UUID(int=self.offset + 1)),
            "subject": subject,
            "occurred_at": occurred_at,
            "actor": {"role": role, "id": actor},
            "channel": "app",
            **said,
        }
        event = msgspec.convert(body, AnySubjectEvent)
        before = self._answers(subject)
        self._append(subject, event)
        after = self._answers(subject)
        if tightens(event) and kind != "AgeAsserted":
            _assert_no_more_is_allowed(before, after, event)
        if kind == "ExemptionInvoked":
            _assert_no_more_is_allowed(after, before, event)
        if kind in ("ConsentWithdrawn", "ConsentRefused"):
            self._late_grants_change_nothing(subject, event)

    def _late_grants_change_nothing(self, subject: str, stop: AnySubjectEvent) -> None:
        """What was granted before a stop was recorded, and arrives after it, allows nothing."""
        former = [each.event for each in self.log[subject][-10:] if type(each.event).__name__ == "ConsentGiven"]
        before = self._answers(subject)
        row = self.rows[subject]
        for place, grant in enumerate(former):
            late = msgspec.structs.replace(
                grant,
                event_id=UUID(int=10**9 + self.offset + place),
                occurred_at=self.now - place,
                expected_position=None,
            )
            self._append(subject, late)
        after = self._answers(subject)
        purpose = getattr(stop, "purpose", None)
        for question, one, other in zip(QUESTIONS, before, after, strict=True):
            if purpose in (None, question.purpose) and _stopped(row, stop):
                assert not other.allow or one.allow, (stop, question.purpose, other.reason)

    def _append(self, subject: str, event: AnySubjectEvent) -> None:
        self.offset += 1
        position = Position(1, partition_of(subject, 12), self.offset)
        entry = Recorded(position, self.now, event)
        row = self.rows.get(subject) or SubjectState.unknown(subject, 1, position.partition)
        self.rows[subject], fault = fold_or_quarantine(row, entry)
        assert fault is None, fault
        self.log[subject].append(entry)

    def _answers(self, subject: str, now: int | None = None) -> list[Decision]:
        if not self.policies.revisions:
            return []
        return [self._ask(subject, question, self.now if now is None else now) for question in QUESTIONS]

    def _ask(self, subject: str, question: Request, now: int) -> Decision:
        row = self.rows.get(subject)
        position = Position(1, partition_of(subject, 12), 0) if row is None else row.position
        asked = msgspec.structs.replace(question, subject=subject)
        answer = decide(View(row, position, 100), self.policies, asked, now)
        return msgspec.structs.replace(
            answer, position=Position(1, 0, 0), tightened_position=None, prompt=Prompt(may_ask=False)
        )

    def _nothing_changes_before_it_is_said_to(self, passing: int) -> None:
        for subject in SUBJECTS:
            for question, answer in zip(QUESTIONS, self._answers(subject), strict=True):
                until = self.now + passing
                if answer.expires_at is not None:
                    assert answer.expires_at > self.now
                    until = min(until, answer.expires_at - 1)
                assert self._ask(subject, question, until) == answer


def _stopped(row: SubjectState, stop: AnySubjectEvent) -> bool:
    """Whether the fold kept the stop: a guardian who is not linked stops nothing."""
    return any(mark.event_id == stop.event_id.bytes for mark in row.marks)


def _own(subject: str) -> dict[str, str]:
    return {"role": "subject", "actor": subject}


def _effective(at: int) -> str:
    return f"effective_at: {datetime.fromtimestamp(at / 1_000, UTC).isoformat().replace('+00:00', 'Z')}"


def _assert_no_more_is_allowed(before: list[Decision], after: list[Decision], event: AnySubjectEvent) -> None:
    for one, other in zip(before, after, strict=True):
        assert one.allow or not other.allow, (event, one.reason, other.reason, other.clause)


TestPromise = Promise.TestCase
TestPromise.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.slow
class TestPromiseAtLength(Promise.TestCase):
    settings = settings(max_examples=300, stateful_step_count=80, deadline=None)
