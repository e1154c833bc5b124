"""How old a view can be. Pure: clocks are arguments, times are ms since the epoch unless they say monotonic.

Three clocks meet here. `complete_at` and `appended_at` are the broker's; the reader's own wall clock may be wrong or be
set; its monotonic clock only tells how long ago something was. An age is never less than any of them proves.
"""

import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import msgspec

from consentry.state.row import Watermark

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_ms() -> int:
    """A clock that nobody sets; where there is one, it goes on while the machine sleeps."""
    nanoseconds = time.monotonic_ns() if _SINCE_BOOT is None else time.clock_gettime_ns(_SINCE_BOOT)
    return nanoseconds // 1_000_000


_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE = Path("/proc/self/ns/time")


@cache
def clock_name() -> str:
    """Which clock `monotonic_ms` reads. Its times mean something only to processes for which the name is the same.

    On Linux that is one boot of one host. Elsewhere nothing tells, and each process is alone with its forks.
    """
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return f"process {uuid4()}"
    try:
        return f"{boot} {_TIME_NAMESPACE.readlink()}"
    except OSError:  # an older kernel: there is one for all
        return boot


class Heard(msgspec.Struct, frozen=True):
    """When a watermark was written (the broker's clock), and when this process took it in (both of its own)."""

    appended_at: int
    wall_at: int
    monotonic_at: int

    @property
    def behind_ms(self) -> int:
        """By how much this machine's clock was behind the broker's, at the least; 0: not shown to be."""
        return max(0, self.appended_at - self.wall_at)


class Since(msgspec.Struct, frozen=True, gc=False):
    """From when on the rows may lack something, by both of a reader's clocks."""

    wall_at: int
    monotonic_at: int

    def age_ms(self, now: int, monotonic_now: int) -> int:
        """How old the rows can be at the most."""
        return max(0, now - self.wall_at, monotonic_now - self.monotonic_at)

    def or_before(self, other: "Since") -> "Since":
        """The earlier of both, by each clock: what rests on two things is as old as the older."""
        return Since(min(self.wall_at, other.wall_at), min(self.monotonic_at, other.monotonic_at))


def since(complete_at: int, heard: Heard) -> Since | None:
    """What a word of completeness proves; None where it proves nothing."""
    if complete_at <= 0:
        return None
    complete_at = min(complete_at, heard.appended_at)
    return Since(complete_at - heard.behind_ms, heard.monotonic_at - (heard.appended_at - complete_at))


def age_ms(watermark: Watermark, heard: Heard, *, now: int, monotonic_now: int) -> int | None:
    """How old the rows can be at the most, going by all clocks; None where the watermark proves nothing."""
    proven = since(watermark.complete_at, heard)
    return None if proven is None else proven.age_ms(now, monotonic_now)
