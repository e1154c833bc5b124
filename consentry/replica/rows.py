"""The rows of one partition as compact bytes, and its watermark. Rows never go backwards. No Kafka, no clock."""

from bisect import bisect_right

import msgspec

from consentry.codec import decode_row, decode_state_record
from consentry.codec.ranks import row_rank
from consentry.errors import UndecodableRecord, UntrustedLog
from consentry.replica.freshness import Heard
from consentry.state.row import SubjectState, Watermark

WATERMARK_KEY = b"~watermark"
"""No subject's key: a subject is `type:id`."""
DECODED_ROWS = 4_096
"""rows of a partition kept decoded: who is asked about once is asked about again"""


class PartitionRows:
    """What consent-state holds of one partition. Memory: the key and the row's Avro bytes for each subject."""

    __slots__ = ("_decoded", "_rows", "_sorted", "heard", "partition", "watermark")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.watermark: Watermark | None = None
        self.heard: Heard | None = None
        """when the watermark was written and taken in"""
        self._rows: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, tuple[bytes, SubjectState]] = {}
        self._sorted: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, key: bytes | None, value: bytes | None) -> bool:
        """Take in a row. True when the subject's row changed.

        Raises UntrustedLog on a tombstone or a record without key: nobody of ours writes one.
        """
        if key is None or value is None:
            raise UntrustedLog(
                f"partition {self.partition} of consent-state has a record without {'key' if key is None else 'value'}",
                remedy="find who writes this topic besides the workers, then rebuild it from the log",
            )
        held = self._rows.get(key)
        if held is not None and row_rank(held, key) > row_rank(value, key):
            return False
        self._rows[key] = value
        return True

    def hear(self, value: bytes | None, heard: Heard) -> None:
        """Take in a watermark. Raises UntrustedLog, UndecodableRecord."""
        watermark = decode_state_record(value)
        if not isinstance(watermark, Watermark) or watermark.position.partition != self.partition:
            raise UntrustedLog(f"partition {self.partition} of consent-state holds another's watermark")
        if self.watermark is not None and watermark.rank < self.watermark.rank:
            return
        # no owner can have known of a time that came after its word was written
        if watermark.complete_at > heard.appended_at:
            watermark = msgspec.structs.replace(watermark, complete_at=heard.appended_at)
        self.watermark = watermark
        self.heard = heard

    def put(self, key: bytes, row: bytes) -> None:
        """An owner's own row, written and committed."""
        self._rows[key] = row

    def row(self, key: bytes) -> bytes | None:
        return self._rows.get(key)

    def state(self, subject: str) -> SubjectState | None:
        """The subject's row, or None. Raises UndecodableRecord where a later version wrote it."""
        key = subject.encode()
        value = self._rows.get(key)
        if value is None:
            return None
        decoded = self._decoded.get(key)
        if decoded is not None and decoded[0] is value:
            return decoded[1]
        state = decode_row(value)
        if state.subject != subject:
            raise UndecodableRecord(f"the row under the key of {subject} is another's")
        if len(self._decoded) >= DECODED_ROWS:
            self._decoded.clear()
        self._decoded[key] = (value, state)
        return state

    def keys_after(self, key: bytes, limit: int) -> list[bytes]:
        """Keys greater than `key`, in order. They are sorted when asked for: none is ever taken out."""
        if len(self._sorted) < len(self._rows):
            self._sorted = sorted(self._rows)
        begin = bisect_right(self._sorted, key)
        return self._sorted[begin : begin + limit]

    def items(self) -> list[tuple[bytes, bytes]]:
        return list(self._rows.items())
