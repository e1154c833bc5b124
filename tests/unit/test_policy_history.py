"""Publishing: what is checked before a revision enters the log, and what readers make of the log."""

from uuid import uuid4

import msgspec
import pytest
from unit.decision_worlds import SECOND_VERSION, WEEK, second_version
from unit.story import DOCUMENT, START, TEXT, first_version, published, recorded

from consentry.errors import InvalidPolicy
from consentry.events import IncidentDeclared, PolicyRevised, RecordedPolicyEvent, ServiceDiscontinued
from consentry.policy import Policies, prepare_revision
from consentry.terms import Position

FIRST_EFFECTIVE = 1_767_830_400_000
SECOND_EFFECTIVE = START + 1_000
IN_TIME = SECOND_EFFECTIVE - WEEK


def second(document: str = SECOND_VERSION, text: str = TEXT, *, now: int = IN_TIME) -> PolicyRevised:
    return prepare_revision(document, text, first_version(), now, event_id=uuid4())


def test_the_first_version_needs_no_notice() -> None:
    revision = prepare_revision(DOCUMENT, TEXT, Policies(), FIRST_EFFECTIVE + 1, event_id=uuid4(), producer="olga")
    assert (revision.version, revision.effective_at, revision.producer) == (1, FIRST_EFFECTIVE, "olga")
    assert len(revision.text_hash) == 64
    assert revision.clause_hashes.keys() >= {"P-1", "1.2.d", "9.b"}


def test_a_first_version_has_number_one() -> None:
    with pytest.raises(InvalidPolicy, match="version 2 is the first, expected 1"):
        prepare_revision(SECOND_VERSION, TEXT, Policies(), 0, event_id=uuid4())


def test_a_version_follows_the_one_before() -> None:
    third = SECOND_VERSION.replace("version: 2\n", "version: 3\n")
    with pytest.raises(InvalidPolicy, match="version 3 follows 1, expected 2"):
        second(third)


def test_all_that_forbids_a_revision_is_told_at_once_the_number_first() -> None:
    hasty = SECOND_VERSION.replace("version: 2\n", "version: 3\n")
    with pytest.raises(InvalidPolicy, match="version 3 follows 1") as caught:
        second(hasty, TEXT.replace("programs", "software"), now=IN_TIME + 1)
    fields = [fault.where.partition(", ")[2] for fault in caught.value.others]
    assert fields == ["effective_at", "clause_changes"]


def test_another_policy_has_no_place_in_this_log() -> None:
    with pytest.raises(InvalidPolicy, match="holds the policy newsfeed-app"):
        second(SECOND_VERSION.replace("policy: newsfeed-app", "policy: other"))


def test_a_version_takes_effect_after_the_one_before() -> None:
    early = SECOND_VERSION.replace("2026-01-09T00:00:01Z", "2026-01-08T00:00:00Z")
    with pytest.raises(InvalidPolicy, match="takes effect before version 1"):
        second(early, now=FIRST_EFFECTIVE - 2 * WEEK)


def test_notice_of_exactly_the_promised_length_is_enough() -> None:
    assert second(now=IN_TIME).version == 2


def test_shorter_notice_than_promised_is_refused() -> None:
    with pytest.raises(InvalidPolicy, match="promised are 604800000 ms"):
        second(now=IN_TIME + 1)


def test_the_notice_that_was_promised_counts_and_not_the_new_one() -> None:
    hasty = SECOND_VERSION.replace("notice_period: P7D", "notice_period: P0D")
    with pytest.raises(InvalidPolicy, match="promised are 604800000 ms"):
        second(hasty, now=IN_TIME + 1)


def test_a_silent_change_of_wording_is_refused() -> None:
    with pytest.raises(InvalidPolicy, match=r"the wording of 1\.6\.2\.b changed"):
        second(text=TEXT.replace("programs", "software"))


def test_a_change_of_wording_that_is_classed_is_taken() -> None:
    document = SECOND_VERSION + "\nclause_changes: {1.6.2.b: editorial}\n"
    revision = second(document, TEXT.replace("programs", "software"))
    assert revision.text_hash != first_version().revisions[0].event.text_hash


def test_a_change_before_the_first_clause_is_not_silent_either() -> None:
    with pytest.raises(InvalidPolicy, match="the wording of P changed"):
        second(text=TEXT.replace("We have created this Privacy Policy", "We made this Privacy Policy"))


def test_a_clause_that_is_taken_out_has_changed() -> None:
    with pytest.raises(InvalidPolicy, match=r"9\.b"):
        second(text=TEXT[: TEXT.index("b. If you have any questions, comments")])


def test_a_change_that_was_not_made_is_refused() -> None:
    with pytest.raises(InvalidPolicy, match=r"1\.2\.a is said to have changed"):
        second(SECOND_VERSION + "\nclause_changes: {1.2.a: material}\n")


@pytest.mark.parametrize("text", ["", " \n", "x" * 500_001])
def test_a_revision_without_a_sensible_wording_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicy, match="the wording is empty or longer"):
        second(text=text)


def test_a_version_is_in_force_from_its_time_of_effect_on() -> None:
    policies = second_version()
    versions = [FIRST_EFFECTIVE - 1, FIRST_EFFECTIVE, SECOND_EFFECTIVE - 1, SECOND_EFFECTIVE]
    found = [policies.in_force(at) for at in versions]
    assert [policy and policy.version for policy in found] == [None, 1, 1, 2]


def test_a_version_is_found_by_its_number() -> None:
    policies = second_version()
    assert [getattr(policies.version(number), "version", None) for number in (0, 1, 2, 3, -1)] == [
        None,
        1,
        2,
        None,
        None,
    ]


def test_a_revision_keeps_what_was_published() -> None:
    revision = second_version().revisions[1]
    assert (revision.version, revision.effective_at, revision.position) == (2, SECOND_EFFECTIVE, Position(1, 0, 2))
    assert (revision.event.document, revision.event.text) == (SECOND_VERSION, TEXT)


def test_a_record_already_seen_changes_nothing() -> None:
    policies = second_version()
    for revision in policies.revisions:
        repeated = RecordedPolicyEvent(revision.position, revision.recorded_at, revision.event)
        assert policies.after(repeated) is policies


def test_of_two_revisions_published_at_once_the_first_in_the_log_counts() -> None:
    late = recorded(second_version(), second())
    assert [revision.version for revision in late.revisions] == [1, 2]
    assert late.ignored == (Position(1, 0, 3),)
    assert late.position == Position(1, 0, 3)


def test_a_revision_that_does_not_follow_is_ignored_by_every_reader() -> None:
    other = msgspec.structs.replace(
        second(), policy="other", document=SECOND_VERSION.replace("policy: newsfeed-app", "policy: other")
    )
    early = msgspec.structs.replace(
        second(),
        effective_at=FIRST_EFFECTIVE,
        document=SECOND_VERSION.replace("2026-01-09T00:00:01Z", "2026-01-08T00:00:00Z"),
    )
    for stray in (other, early):
        policies = recorded(first_version(), stray)
        assert len(policies.revisions) == 1
        assert policies.ignored == (Position(1, 0, 2),)


def test_a_reader_that_cannot_read_the_terms_does_not_answer() -> None:
    unreadable = msgspec.structs.replace(second(), document="policy: [")
    with pytest.raises(InvalidPolicy, match=r"e1\.p0\.o2: line"):
        recorded(first_version(), unreadable)


def test_a_record_that_contradicts_its_document_is_not_taken() -> None:
    forged = msgspec.structs.replace(second(), effective_at=0)
    with pytest.raises(InvalidPolicy, match="its document differs"):
        recorded(first_version(), forged)


def test_the_earliest_end_of_the_service_counts() -> None:
    policies = first_version()
    for effective_at in (9_000, 5_000, 7_000):
        event = ServiceDiscontinued(event_id=uuid4(), policy="newsfeed-app", occurred_at=0, effective_at=effective_at)
        policies = recorded(policies, event)
    assert policies.discontinued_at == 5_000


def test_an_incident_is_kept() -> None:
    incident = IncidentDeclared(
        event_id=uuid4(), policy="newsfeed-app", occurred_at=0, data=("phone",), from_at=1, to_at=2
    )
    assert recorded(first_version(), incident).incidents == (incident,)


def test_the_next_change_by_time_alone_is_known() -> None:
    event = ServiceDiscontinued(
        event_id=uuid4(), policy="newsfeed-app", occurred_at=0, effective_at=SECOND_EFFECTIVE + 5
    )
    policies = recorded(second_version(), event)
    moments = [0, FIRST_EFFECTIVE, SECOND_EFFECTIVE, SECOND_EFFECTIVE + 5]
    assert [policies.changes_after(at) for at in moments] == [*moments[1:], None]


@pytest.mark.parametrize(
    "ends_at", [FIRST_EFFECTIVE - 1, FIRST_EFFECTIVE, FIRST_EFFECTIVE + 1, SECOND_EFFECTIVE + 1, None]
)
def test_at_every_moment_there_is_a_period_that_says_what_holds(ends_at: int | None) -> None:
    policies = second_version()
    if ends_at is not None:
        event = ServiceDiscontinued(event_id=uuid4(), policy="newsfeed-app", occurred_at=0, effective_at=ends_at)
        policies = recorded(policies, event)
    first, second = (revision.policy for revision in policies.revisions)
    for at in (-(2**70), FIRST_EFFECTIVE - 2, *range(FIRST_EFFECTIVE - 1, FIRST_EFFECTIVE + 3), SECOND_EFFECTIVE - 1):
        assert policies.period_at(at).policy is (None if at < FIRST_EFFECTIVE else first), at
        assert policies.period_at(at).discontinued is (ends_at is not None and ends_at <= at), at
    for at in (SECOND_EFFECTIVE, SECOND_EFFECTIVE + 1, 2**70):
        assert policies.period_at(at).policy is second, at
        assert policies.period_at(at).discontinued is (ends_at is not None and ends_at <= at), at


def test_publishing_one_version_after_another_gives_the_same_as_reading_the_log_anew() -> None:
    policies = second_version()
    again = Policies()
    for revision in policies.revisions:
        again = again.after(RecordedPolicyEvent(revision.position, revision.recorded_at, revision.event))
    assert again == policies
    assert published(Policies(), DOCUMENT) == first_version()
