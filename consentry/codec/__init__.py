"""Bytes to structs and back: Avro, one schema a record, single-object encoding. No Kafka client.

Beyond this package there are no dicts. A schema is never changed once published: `schemas/<topic>/<Record>.v<N>.avsc`
stays, with its golden bytes, and readers know every version by its fingerprint.
"""

from consentry.codec.framing import record_hash
from consentry.codec.rows import decode_row, decode_state_record, encode_row, encode_watermark
from consentry.codec.wire import (
    decode_event,
    decode_log_record,
    decode_policy_record,
    decode_quarantined,
    encode_event,
    encode_genesis,
    encode_policy_event,
    encode_quarantined,
)
from consentry.state.recent import content_hash

__all__ = [
    "content_hash",
    "decode_event",
    "decode_log_record",
    "decode_policy_record",
    "decode_quarantined",
    "decode_row",
    "decode_state_record",
    "encode_event",
    "encode_genesis",
    "encode_policy_event",
    "encode_quarantined",
    "encode_row",
    "encode_watermark",
    "record_hash",
]
