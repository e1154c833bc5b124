"""What must hold before a revision is published: its number, its notice, and no silent change of wording."""

from collections.abc import Mapping
from uuid import UUID

from consentry.errors import InvalidPolicy
from consentry.events import PolicyRevised
from consentry.policy.document import Policy
from consentry.policy.fields import Field, raise_all, root_of
from consentry.policy.history import Policies, Revision
from consentry.policy.parse import parse_policy
from consentry.policy.wording import clause_hashes, hash_of

MAX_TEXT_CHARACTERS = 500_000


def prepare_revision(
    document: str, text: str, policies: Policies, now: int, *, event_id: UUID, producer: str = ""
) -> PolicyRevised:
    """The event that publishes `document` with the wording `text`.

    Raises InvalidPolicy when the document is not valid, its version does not follow, it takes effect too
    early, or a clause whose wording changed is not said to be editorial or material. `unfound_clauses` warns.
    """
    policy = parse_policy(document)
    hashes = _hashes(policy, text)
    former = policies.revisions[-1] if policies.revisions else None
    faults: list[InvalidPolicy] = []
    place = root_of(document, faults)
    _check_version(policy, None if former is None else former.policy, place)
    if former is not None:
        _check_effect(policy, former.policy, place)
        # The notice that was promised counts, not the one that the revision would like.
        _check_notice(policy, policies.in_force(now) or former.policy, now, place)
    _check_clause_changes(policy, changed_clauses(former, hashes), place)
    raise_all(faults)
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


def check_follows(document: str, former: Policy, wordings: tuple[str, str] | None = None) -> None:
    """What can be told without the log: does the document follow `former`, with the notice that it promises?

    With `wordings`, the former one and its own: is each clause that differs said to be editorial or material? Notice
    counts from the document's `announced_at`; without one it is not checked, and publishing will. Raises InvalidPolicy
    with all faults.
    """
    faults: list[InvalidPolicy] = []
    policy, place = parse_policy(document), root_of(document, faults)
    _check_version(policy, former, place)
    _check_effect(policy, former, place)
    if policy.announced_at is not None:
        _check_notice(policy, former, policy.announced_at, place)
    if wordings is not None:
        former_text, text = wordings
        _check_clause_changes(policy, _differing(clause_hashes(former_text), _hashes(policy, text)), place)
    raise_all(faults)


def changed_clauses(former: Revision | None, hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Clauses whose wording is new, gone or another than in `former`; for a first version none."""
    return () if former is None else _differing(former.event.clause_hashes, hashes)


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(clause for clause in old.keys() | new.keys() if old.get(clause) != new.get(clause)))


def _hashes(policy: Policy, text: str) -> dict[str, str]:
    if not text.strip() or len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidPolicy(
            f"the wording is empty or longer than {MAX_TEXT_CHARACTERS} characters",
            where=f"{policy.id}: text",
            remedy=f"give the text of {policy.text}",
        )
    return clause_hashes(text)


def _check_version(policy: Policy, former: Policy | None, place: Field) -> None:
    if former is not None and policy.id != former.id:
        place.entry("policy").refuse(
            f"this log holds the policy {former.id}, not {policy.id}",
            "another policy needs a log (a topic prefix) of its own",
        )
    expected = 1 if former is None else former.version + 1
    if policy.version != expected:
        follows = "is the first" if former is None else f"follows {former.version}"
        place.entry("version").refuse(
            f"version {policy.version} {follows}, expected {expected}", f"number it {expected}"
        )


def _check_effect(policy: Policy, former: Policy, place: Field) -> None:
    if policy.effective_at <= former.effective_at:
        place.entry("effective_at").refuse(
            f"it takes effect before version {former.version} does", "let it take effect after the former version"
        )


def _check_notice(policy: Policy, promised: Policy, since: int, place: Field) -> None:
    if policy.effective_at < since + promised.notice_period_ms:
        place.entry("effective_at").refuse(
            f"notice of {policy.effective_at - since} ms, promised are {promised.notice_period_ms} ms",
            f"version {promised.version} promises notice_period between publication and effect",
        )


def _check_clause_changes(policy: Policy, changed: tuple[str, ...], place: Field) -> None:
    said = place.entry("clause_changes")
    silent = [clause for clause in changed if clause not in policy.clause_changes]
    if silent:
        said.refuse(
            f"the wording of {', '.join(silent)} changed, and the document does not say how",
            f'say editorial or material: clause_changes: {{"{silent[0]}": editorial}}',
        )
    idle = [clause for clause in policy.clause_changes if clause not in changed]
    if idle:
        said.entry(idle[0]).refuse(
            f"{', '.join(idle)} is said to have changed, and its wording did not",
            "name only clauses whose wording changed",
        )
