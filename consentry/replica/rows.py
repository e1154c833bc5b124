"""The rows of one partition as compact bytes, and its watermark. Rows never go backwards. No Kafka, no clock."""

from consentry.codec import decode_row, decode_state_record
from consentry.codec.rows import row_rank
from consentry.errors import UndecodableRecord, UntrustedLog
from consentry.state.row import SubjectState, Watermark

WATERMARK_KEY = b"~watermark"
"""No subject's key: a subject is `type:id`."""


class PartitionRows:
    """What consent-state holds of one partition. Memory: the key and the row's Avro bytes for each subject."""

    __slots__ = ("_rows", "partition", "watermark", "watermark_appended_at")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.watermark: Watermark | None = None
        self.watermark_appended_at = 0
        """the broker's clock when the watermark was written, ms"""
        self._rows: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def apply(self, key: bytes | None, value: bytes | None, appended_at: int) -> bool:
        """Take in one record of consent-state. True when a subject's row changed.

        Raises UntrustedLog on a tombstone or a record without key: nobody of ours writes one.
        """
        if key is None or value is None:
            raise UntrustedLog(
                f"partition {self.partition} of consent-state has a record without {'key' if key is None else 'value'}",
                remedy="find who writes this topic besides the workers, then rebuild it from the log",
            )
        if key == WATERMARK_KEY:
            self._apply_watermark(value, appended_at)
            return False
        held = self._rows.get(key)
        if held is not None and row_rank(held, key) > row_rank(value, key):
            return False
        self._rows[key] = value
        return True

    def _apply_watermark(self, value: bytes, appended_at: int) -> None:
        watermark = decode_state_record(value)
        if not isinstance(watermark, Watermark) or watermark.position.partition != self.partition:
            raise UntrustedLog(f"partition {self.partition} of consent-state holds another's watermark")
        held = self.watermark
        if held is not None and watermark.rank < held.rank:
            return
        self.watermark = watermark
        self.watermark_appended_at = appended_at

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
        state = decode_row(value)
        if state.subject != subject:
            raise UndecodableRecord(f"the row under the key of {subject} is another's")
        return state

    def items(self) -> list[tuple[bytes, bytes]]:
        return list(self._rows.items())
