"""What must hold before a revision is published: its number, its notice, and no silent change of wording."""

from uuid import UUID

from consentry.errors import InvalidPolicy
from consentry.events import PolicyRevised
from consentry.policy.document import Policy
from consentry.policy.history import Policies, Revision
from consentry.policy.parse import parse_policy
from consentry.policy.wording import clause_hashes, hash_of

MAX_TEXT_CHARACTERS = 500_000


def prepare_revision(
    document: str, text: str, policies: Policies, now: int, *, event_id: UUID, producer: str = ""
) -> PolicyRevised:
    """The event that publishes `document` with the wording `text`.

    Raises InvalidPolicy when the document is not valid, its version does not follow, it takes effect too
    early, or a clause whose wording changed is not said to be editorial or material. `missing_clauses` warns.
    """
    policy = parse_policy(document)
    hashes = _hashes(policy, text)
    former = policies.revisions[-1] if policies.revisions else None
    _check_version(policy, former)
    if former is not None:
        _check_notice(policy, former, policies, now)
    _check_clause_changes(policy, former, hashes)
    return PolicyRevised(
        event_id=event_id,
        policy=policy.id,
        occurred_at=now,
        producer=producer,
        version=policy.version,
        effective_at=policy.effective_at,
        document=document,
        text=text,
        text_hash=hash_of(text),
        clause_hashes=hashes,
    )


def changed_clauses(former: Revision | None, hashes: dict[str, str]) -> tuple[str, ...]:
    """Clauses whose wording is new, gone or another than in `former`; for a first version none."""
    if former is None:
        return ()
    old = former.event.clause_hashes
    return tuple(sorted(clause for clause in old.keys() | hashes.keys() if old.get(clause) != hashes.get(clause)))


def _hashes(policy: Policy, text: str) -> dict[str, str]:
    if not text.strip() or len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidPolicy(
            f"the wording is empty or longer than {MAX_TEXT_CHARACTERS} characters",
            where=f"{policy.id}: text",
            remedy=f"give the text of {policy.text}",
        )
    return clause_hashes(text)


def _check_version(policy: Policy, former: Revision | None) -> None:
    if former is not None and policy.id != former.policy.id:
        raise InvalidPolicy(
            f"this log holds the policy {former.policy.id}, not {policy.id}",
            where=f"{policy.id}: policy",
            remedy="another policy needs a log (a topic prefix) of its own",
        )
    expected = 1 if former is None else former.version + 1
    if policy.version != expected:
        follows = "is the first" if former is None else f"follows {former.version}"
        raise InvalidPolicy(
            f"version {policy.version} {follows}, expected {expected}",
            where=f"{policy.id}: version",
            remedy=f"number it {expected}",
        )


def _check_notice(policy: Policy, former: Revision, policies: Policies, now: int) -> None:
    if policy.effective_at <= former.effective_at:
        raise InvalidPolicy(
            f"it takes effect before version {former.version} does",
            where=f"{policy.id}: effective_at",
            remedy="let it take effect after the former version",
        )
    # The notice that was promised counts, not the one that the revision would like.
    promised = policies.in_force(now) or former.policy
    if policy.effective_at < now + promised.notice_period_ms:
        raise InvalidPolicy(
            f"notice of {policy.effective_at - now} ms, promised are {promised.notice_period_ms} ms",
            where=f"{policy.id}: effective_at",
            remedy=f"version {promised.version} promises notice_period between publication and effect",
        )


def _check_clause_changes(policy: Policy, former: Revision | None, hashes: dict[str, str]) -> None:
    changed = changed_clauses(former, hashes)
    silent = [clause for clause in changed if clause not in policy.clause_changes]
    if silent:
        raise InvalidPolicy(
            f"the wording of {', '.join(silent)} changed, and the document does not say how",
            where=f"{policy.id}: clause_changes",
            remedy=f"say editorial or material: clause_changes: {{{silent[0]}: editorial}}",
        )
    idle = [clause for clause in policy.clause_changes if clause not in changed]
    if idle:
        raise InvalidPolicy(
            f"{', '.join(idle)} is said to have changed, and its wording did not",
            where=f"{policy.id}: clause_changes",
            remedy="name only clauses whose wording changed",
        )
