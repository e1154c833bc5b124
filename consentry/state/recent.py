"""The last events of a row: by their ids and the heads of their contents' hashes a repeated one is known."""

import hashlib
from enum import Enum

import msgspec

from consentry.events import AnySubjectEvent, ConsentGiven, ConsentReaffirmed, PreferenceSet
from consentry.state.row import RECENT_ENTRY_BYTES, RECENT_EVENTS

_ID_BYTES = 16
_HASH_BYTES = RECENT_ENTRY_BYTES - _ID_BYTES
_encode = msgspec.msgpack.Encoder().encode
_UNUSED = hashlib.blake2b(digest_size=_HASH_BYTES)
"""a copy of it costs less than to set up another"""


class Repeat(Enum):
    """What a row knows of an event's id."""

    NEW = "new"
    SAME = "same"
    OTHER_CONTENT = "other_content"


NEW, SAME, OTHER_CONTENT = Repeat  # by name they cost a look-up at every event


def content_hash(event: AnySubjectEvent) -> bytes:
    """Eight bytes that tell whether two events of one id say the same.

    What intake adds for itself, and may differ when the same event is sent again, does not count: the
    correction of its clock, and the position of the tightening that stood before it in the same list.
    """
    if event.skew_ms or event.sent_at is not None:
        event = msgspec.structs.replace(event, sent_at=None, skew_ms=0, occurred_at=event.occurred_at + event.skew_ms)
    if isinstance(event, (ConsentGiven, ConsentReaffirmed, PreferenceSet)) and event.expected_position is not None:
        event = msgspec.structs.replace(event, expected_position=None)
    digest = _UNUSED.copy()
    digest.update(_encode(event))
    return digest.digest()


def repeat_of(recent: bytes, event_id: bytes, content: bytes) -> Repeat:
    """Whether `recent` holds this event, and with this content."""
    found = NEW
    place = recent.find(event_id)
    while place >= 0:
        if place % RECENT_ENTRY_BYTES:  # the same bytes across two entries are no id
            place = recent.find(event_id, place + 1)
            continue
        if recent[place + _ID_BYTES : place + RECENT_ENTRY_BYTES] == content:
            return SAME
        found = OTHER_CONTENT
        place = recent.find(event_id, place + RECENT_ENTRY_BYTES)
    return found


def remember(recent: bytes, event_id: bytes, content: bytes) -> bytes:
    """`recent` with this event as the last, the oldest beyond 32 forgotten."""
    return (recent + event_id + content)[-RECENT_EVENTS * RECENT_ENTRY_BYTES :]
