"""What every Kafka client of ours sets, because the client's own default could lose or invent an event.

aiokafka alone: acks=1, not idempotent, auto commit, latest, read_uncommitted. Tests read ours back from live clients.
"""

from typing import Any, Final

PRODUCER_DEFAULTS: Final[dict[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
}

CONSUMER_DEFAULTS: Final[dict[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "check_crcs": True,
    "group_id": None,
}
