"""Whether this node lives, and whether it may be asked."""

import msgspec

from streams.query.seams import Replica


class Liveness(msgspec.Struct, frozen=True):
    alive: bool


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    because: str
    """what it waits for; empty once it is ready"""


def liveness() -> Liveness:
    return Liveness(alive=True)


def readiness(replica: Replica) -> Readiness:
    """Ready once all is caught up and trusted. A node that is not ready answers, and allows nothing."""
    because = replica.not_ready_because
    return Readiness(ready=not because, because=because)
