"""How old a view can be. Pure: clocks are arguments, times are ms since the epoch."""

import msgspec

from consentry.state.row import Watermark


class Proof(msgspec.Struct, frozen=True):
    """All that a partition held at `complete_at` is in the rows that this reader has."""

    complete_at: int


def proof_of(watermark: Watermark | None, appended_at: int, *, epoch: int, log_id: bytes) -> Proof | None:
    """What a partition's watermark proves, or None.

    An owner whose clock is ahead cannot make its word younger than the broker's time at which it was written.
    """
    if watermark is None or watermark.position.epoch != epoch or watermark.log_id != log_id:
        return None
    if watermark.complete_at <= 0:
        return None
    return Proof(min(watermark.complete_at, appended_at))


def staleness_ms(proof: Proof | None, now: int) -> int | None:
    """How old the view can be at the most; None when nothing proves it."""
    return None if proof is None else max(0, now - proof.complete_at)


def clock_is_behind(now: int, appended_at: int, tolerance_ms: int) -> bool:
    """True when a record that has already been written lies in this clock's future: its ages would be too small."""
    return appended_at - now > tolerance_ms
