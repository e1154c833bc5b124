"""Whether a copy may be fed on from where it was left: the same log, the same boot, and still the same topic.

A topic has no name of its own that our client could ask for, and offsets alone are no identity. So records that were
read are read again: where one stands as it stood, what follows it is what follows. In doubt the copy is made anew.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from consentry.codec import record_hash
from consentry.events import Genesis
from consentry.replica.freshness import clock_name, monotonic_ms
from consentry.replica.head import Anchor, Head
from consentry.replica.reader import StateTopic

log = logging.getLogger(__name__)

ANCHOR_WAIT_S: Final = 2.0


def anchor_of(record: Any) -> Anchor:
    return Anchor(record.offset, record_hash(record.offset, record.timestamp, record.key, record.value))


def why_not(head: Head | None, identity: Genesis) -> str:
    """Why a copy cannot be fed on whatever the topic holds, or ""."""
    if head is None:
        return "it has no head"
    if head.genesis != identity:
        return "it is of another log, or of another epoch of it"
    if not head.complete:
        return "it was never complete"
    if head.clock != clock_name() and not head.closed:
        return "the machine was started anew, and the copy had not been closed"
    return ""


async def resumed(topic: StateTopic, head: Head) -> dict[int, int] | None:
    """Where to read on in each partition; None where the topic is not known to be the one that was read."""
    begins, ends = await topic.begins(), await topic.ends()
    held = dict(enumerate(head.partitions))
    if any(
        each.offset_next and not begins[number] <= each.offset_next <= ends[number] for number, each in held.items()
    ):
        log.warning("replica.made_anew", extra={"because": "the topic no longer holds the offsets that follow"})
        return None
    unknown = {number for number, each in held.items() if each.offset_next}
    for anchors in (
        {number: each.last_record for number, each in held.items()},
        {number: each.last_row for number, each in held.items()},
    ):
        found = await _read_again(topic, {number: each for number, each in anchors.items() if number in unknown})
        if any(same is False for same in found.values()):
            log.warning("replica.made_anew", extra={"because": "other records stand where ours were read"})
            return None
        unknown -= {number for number, same in found.items() if same}
    if any(held[number].last_row is not None for number in unknown):
        log.warning("replica.made_anew", extra={"because": "what was read last has been compacted away"})
        return None
    # of a partition without rows nothing can be missing: it is read from its beginning
    return {
        number: begins[number] if number in unknown or not each.offset_next else each.offset_next
        for number, each in held.items()
    }


async def _read_again(topic: StateTopic, anchors: Mapping[int, Anchor | None]) -> dict[int, bool | None]:
    """Whether the same record stands there still; None where none stands there."""
    wanted = {number: anchor for number, anchor in anchors.items() if anchor is not None}
    found: dict[int, bool | None] = dict.fromkeys(anchors, None)
    topic.seek({number: anchor.offset for number, anchor in wanted.items()})
    deadline = monotonic_ms() + int(ANCHOR_WAIT_S * 1000)
    while wanted and monotonic_ms() < deadline:
        for number, records in (await topic.fetch()).records.items():
            anchor = wanted.pop(number, None)
            if anchor is not None and records[0].offset == anchor.offset:
                found[number] = anchor_of(records[0]) == anchor
    return found
