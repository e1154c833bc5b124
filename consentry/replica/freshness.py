"""How old a view can be. Pure: clocks are arguments, times are ms since the epoch unless they say monotonic.

Three clocks meet here. `complete_at` and `appended_at` are the broker's; the reader's own wall clock may be wrong or be
set; its monotonic clock only tells how long ago something was. An age is never less than any of them proves.
"""

import time

import msgspec

from consentry.state.row import Watermark

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_ms() -> int:
    """A clock that nobody sets; where there is one, it goes on while the machine sleeps."""
    nanoseconds = time.monotonic_ns() if _SINCE_BOOT is None else time.clock_gettime_ns(_SINCE_BOOT)
    return nanoseconds // 1_000_000


class Heard(msgspec.Struct, frozen=True):
    """When a watermark was written (the broker's clock), and when this process took it in (both of its own)."""

    appended_at: int
    wall_at: int
    monotonic_at: int

    @property
    def behind_ms(self) -> int:
        """By how much this machine's clock was behind the broker's, at the least; 0: not shown to be."""
        return max(0, self.appended_at - self.wall_at)


def age_ms(watermark: Watermark, heard: Heard, *, now: int, monotonic_now: int) -> int | None:
    """How old the rows can be at the most, going by all clocks; None where the watermark proves nothing."""
    if watermark.complete_at <= 0:
        return None
    complete_at = min(watermark.complete_at, heard.appended_at)
    by_wall = now + heard.behind_ms - complete_at
    by_monotonic = (monotonic_now - heard.monotonic_at) + (heard.appended_at - complete_at)
    return max(0, by_wall, by_monotonic)
