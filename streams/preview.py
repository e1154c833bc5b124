"""What a revision would change, before it is published: read policy and rows, weigh each subject. Writes nothing."""

from collections import Counter
from collections.abc import Callable

import msgspec

from consentry.codec import decode_row
from consentry.decision.preview import Proposal, concern_of
from consentry.errors import ConsentryError, Unavailable, UntrustedLog
from consentry.events import Genesis
from consentry.policy import Policies, check_follows, parse_policy
from consentry.replica import PolicyFollower
from consentry.replica.reader import StateReader
from consentry.replica.rows import PartitionRows
from consentry.settings import Settings
from streams.topics import require_topics

EACH = 100_000
"""rows between two words of progress"""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it would concern, by the rows as they stood at `complete_at`."""

    proposal: Proposal
    subjects: int
    """how many have a row"""
    complete_at: int
    """ms since the epoch: the rows hold all that was in the log at this time"""
    asked_again: tuple[str, ...]
    """subjects whose consent would be due again"""
    by_purpose: dict[str, int]
    """of those, how many for each purpose; one subject may stand under several"""
    must_accept: tuple[str, ...]
    """subjects who would have to accept what reduces a right"""
    by_guardian: int
    """of those, for whom a verified guardian would have to"""


async def preview_revision(
    settings: Settings, document: str, *, now: int, on_progress: Callable[[str], None]
) -> Preview:
    """Weigh `document` as the revision that follows what is published.

    Raises InvalidPolicy when it does not follow, ConsentryError when nothing is published yet, UntrustedLog,
    UndecodableRecord, and Unavailable when Kafka does not answer or no worker has folded the log.
    """
    policy = parse_policy(document)
    await require_topics(settings)
    policies, identity = await _published(settings)
    if not policies.revisions:
        raise ConsentryError(
            "no version is published, so nobody has agreed to anything that it could change",
            where=f"{policy.id}: version {policy.version}",
            remedy="publish it: consentry policy publish",
        )
    check_follows(document, policies.revisions[-1].policy)
    partitions = await _rows(settings, identity, on_progress)
    return _weighed(Proposal.of(policy, policies), partitions, now, on_progress)


async def _published(settings: Settings) -> tuple[Policies, Genesis]:
    follower = PolicyFollower(settings)
    await follower.start()
    await follower.stop()
    if follower.genesis is None:
        raise UntrustedLog("policy-revisions has no genesis", remedy="run `consentry topics create`")
    return follower.policies, follower.genesis


async def _rows(settings: Settings, identity: Genesis, on_progress: Callable[[str], None]) -> list[PartitionRows]:
    read = 0

    def count(_rows: PartitionRows, _key: bytes) -> None:
        nonlocal read
        read += 1
        if read % EACH == 0:
            on_progress(f"{read} rows read")

    reader = StateReader(settings, range(identity.partitions), count)
    await reader.start()
    try:
        await reader.read_to_end(settings.restore_timeout_ms)
    finally:
        await reader.stop()
    partitions = list(reader.rows.values())
    for rows in partitions:
        _check_complete(rows, identity)
    return partitions


def _check_complete(rows: PartitionRows, identity: Genesis) -> None:
    """Whether the rows say up to when they hold the log: without that a count of nobody would be a guess."""
    watermark = rows.watermark
    if watermark is None:
        raise Unavailable(
            f"partition {rows.partition} of consent-state has no watermark, so whom it concerns is not known",
            remedy="let a worker fold the log first: consentry worker",
        )
    if (watermark.position.epoch, watermark.log_id) != (identity.epoch, identity.log_id.bytes):
        raise UntrustedLog(
            f"partition {rows.partition} of consent-state belongs to another log", remedy="run `consentry topics check`"
        )


def _weighed(
    proposal: Proposal, partitions: list[PartitionRows], now: int, on_progress: Callable[[str], None]
) -> Preview:
    asked_again: list[str] = []
    must_accept: list[str] = []
    by_purpose: Counter[str] = Counter()
    by_guardian = subjects = 0
    for rows in partitions:
        for _, value in rows.items():
            row = decode_row(value)
            concern = concern_of(row, proposal, now)
            if concern.asked_again:
                asked_again.append(row.subject)
                by_purpose.update(concern.asked_again)
            if concern.must_accept:
                must_accept.append(row.subject)
                by_guardian += concern.by_guardian
            subjects += 1
            if subjects % EACH == 0:
                on_progress(f"{subjects} subjects weighed")
    order = [purpose for purpose in proposal.policy.purposes if by_purpose[purpose]]
    return Preview(
        proposal=proposal,
        subjects=subjects,
        complete_at=min(rows.watermark.complete_at for rows in partitions if rows.watermark is not None),
        asked_again=tuple(sorted(asked_again)),
        by_purpose={purpose: by_purpose[purpose] for purpose in order},
        must_accept=tuple(sorted(must_accept)),
        by_guardian=by_guardian,
    )
