"""What a revision would change, and for how many, for `policy preview`: in words, and for programs."""

import msgspec

from streams.cli.frame import show
from streams.cli.policy_diff import Difference, difference, show_difference
from streams.preview import Preview
from streams.wording import moment


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Those whose consent would be due again."""

    count: int
    by_purpose: dict[str, int]
    """one subject may stand under several"""
    subjects: tuple[str, ...] | None
    """None without --subjects"""


class Accepting(msgspec.Struct, frozen=True, kw_only=True):
    """Those who would have to accept what reduces a right."""

    count: int
    by_guardian: int
    """of those, for whom a verified guardian would have to"""
    subjects: tuple[str, ...] | None


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What `policy preview --json` prints."""

    difference: Difference
    """as `policy diff --json` prints it"""
    subjects: int
    complete_at: int
    """ms: the rows that were counted hold all that was in the log at this time"""
    asked_again: Asked
    must_accept: Accepting


def previewed(preview: Preview, *, with_subjects: bool) -> Previewed:
    proposal = preview.proposal
    return Previewed(
        difference=difference(proposal.policy, proposal.changes),
        subjects=preview.subjects,
        complete_at=preview.complete_at,
        asked_again=Asked(
            count=len(preview.asked_again),
            by_purpose=preview.by_purpose,
            subjects=preview.asked_again if with_subjects else None,
        ),
        must_accept=Accepting(
            count=len(preview.must_accept),
            by_guardian=preview.by_guardian,
            subjects=preview.must_accept if with_subjects else None,
        ),
    )


def show_preview(found: Previewed) -> None:
    """The changes first, then whom they concern."""
    show_difference(found.difference)
    asked, accepting = found.asked_again, found.must_accept
    show()
    show(f"Of {found.subjects} subjects, as the log stood at {moment(found.complete_at)}:", bold=True)
    show(f"  asked again: {asked.count}", fg="yellow" if asked.count else "green")
    for purpose, count in asked.by_purpose.items():
        show(f"    {purpose}: {count}")
    _show_subjects(asked.subjects)
    by_guardian = f", {accepting.by_guardian} of them by a guardian" if accepting.by_guardian else ""
    show(f"  would have to accept it: {accepting.count}{by_guardian}", fg="red" if accepting.count else "green")
    _show_subjects(accepting.subjects)


def _show_subjects(subjects: tuple[str, ...] | None) -> None:
    for subject in subjects or ():
        show(f"      {subject}")
