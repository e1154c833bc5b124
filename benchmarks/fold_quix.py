"""The peer: Quix Streams, decoding the same records and folding them with the same function.

Its state is RocksDB with a changelog topic, its settings are its own defaults (commit every 5 s, at least once) unless
an argument says `exactly-once`. A row is kept as the same bytes that Consentry's worker writes. It is told how many
events there are and commits after the last of them: else it would be charged with waiting for its next commit.
"""

import sys
import time
from typing import Any
from uuid import UUID

from quixstreams import Application, State, message_context

from benchmarks.children import Said, end_with_parent, say
from consentry.codec import decode_row, encode_row
from consentry.events import Genesis
from consentry.folding import RawRecord, fold_record
from consentry.settings import Settings, load_settings
from consentry.state.row import SubjectState
from consentry.terms import SubjectIds

ROW = "row"


class Fold:
    """What Quix Streams calls for each record, with the state of its key."""

    def __init__(self, topic: str, identity: Genesis) -> None:
        self._topic = topic
        self._identity = identity
        self._began = False

    def __call__(self, value: bytes, key: bytes, timestamp: int, _headers: Any, state: State[str, bytes]) -> None:
        if not self._began:
            self._began = True
            say(Said(event="began", at=time.time_ns() // 1_000_000))
        place = message_context()

        def state_of(_subject: str) -> SubjectState | None:
            row = state.get_bytes(ROW)
            return None if row is None else decode_row(row)

        record = RawRecord(self._topic, place.partition, place.offset, timestamp, key, value)
        folded = fold_record(record, self._identity, state_of)
        if folded.quarantined is not None:
            raise ValueError(f"not folded: {folded.quarantined.detail}")
        if folded.state is not None and folded.changed:
            state.set_bytes(ROW, encode_row(folded.state))


def has_key(_value: bytes, key: bytes | None, _timestamp: int, _headers: Any) -> bool:
    """Not the genesis: it belongs to no subject."""
    return key is not None


def run(settings: Settings, group: str, guarantee: Any, state_dir: str, identity: Genesis, events: int) -> None:
    app = Application(
        broker_address=settings.bootstrap_servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        state_dir=state_dir,
        loglevel="WARNING",
    )
    topic = app.topic(settings.topic("consent-events"), key_deserializer="bytes", value_deserializer="bytes")
    stream = app.dataframe(topic)
    stream = stream.filter(has_key, metadata=True)
    stream.update(Fold(topic.name, identity), stateful=True, metadata=True)
    app.run(count=events, collect=False)


if __name__ == "__main__":
    end_with_parent()
    group, guarantee, state_dir, log_id, epoch, events = sys.argv[1:]
    settings = load_settings()
    run(
        settings,
        group,
        guarantee,
        state_dir,
        Genesis(log_id=UUID(log_id), epoch=int(epoch), partitions=settings.partitions, subject_ids=SubjectIds.PLAIN),
        int(events),
    )
