"""Who is linked and verified as a guardian at a place of the log, and which of a guardian's acts are kept."""

from dataclasses import dataclass
from functools import lru_cache

from oracle.record import Entry, Log

from consentry.events import GuardianLinked, GuardianUnlinked, GuardianVerified

LONG_AGO = -(10**18)


@dataclass(frozen=True, slots=True)
class Standing:
    linked: bool
    verified_at: int | None
    """the log's clock of the verification that stands"""
    unlinked_place: int
    """of the last unlinking; -1: never"""


@lru_cache(maxsize=8192)
def standing(log: Log, guardian: str, place: int) -> Standing:
    """Of a guardian just before `place`."""
    linked, verified_at, unlinked_place, unlinked_at = False, None, -1, LONG_AGO
    for entry in log:
        if entry.place >= place:
            break
        event = entry.event
        if not isinstance(event, GuardianLinked | GuardianVerified | GuardianUnlinked):
            continue
        if event.guardian != guardian or guardian == event.subject:
            continue
        if isinstance(event, GuardianUnlinked):
            if linked:
                linked, verified_at, unlinked_place, unlinked_at = False, None, entry.place, entry.at
        elif entry.clock <= unlinked_at:
            continue
        elif isinstance(event, GuardianLinked):
            linked = True
        elif linked and verified_at is None and not entry.ahead:
            verified_at = entry.at
    return Standing(linked, verified_at, unlinked_place)


@lru_cache(maxsize=64)
def verifications(log: Log) -> tuple[Entry, ...]:
    """Every verification that made a guardian verified."""
    found = []
    for entry in log:
        event = entry.event
        if isinstance(event, GuardianVerified):
            before = standing(log, event.guardian, entry.place)
            after = standing(log, event.guardian, entry.place + 1)
            if before.verified_at is None and after.verified_at is not None:
                found.append(entry)
    return tuple(found)


def loosening_is_kept(log: Log, entry: Entry, known: int) -> bool:
    """A grant, an acceptance or a lift: by the subject, or by a guardian verified then, and not unlinked since."""
    if entry.ahead:
        return False
    if entry.own:
        return True
    if entry.guardian is None:
        return False
    then = standing(log, entry.guardian, entry.place)
    if then.verified_at is None or entry.clock < then.verified_at:
        return False
    return standing(log, entry.guardian, known + 1).unlinked_place < entry.place


def stop_is_kept(log: Log, entry: Entry) -> bool:
    """A refusal, a withdrawal, an opt-out or an objection: a guardian's only while linked, verified or not."""
    if entry.guardian is not None:
        return standing(log, entry.guardian, entry.place).linked
    return True


def verified_now(log: Log) -> set[str]:
    """Every guardian who is verified at the end of the log."""
    known = {entry.event.guardian for entry in log if isinstance(entry.event, GuardianVerified)}
    return {guardian for guardian in known if standing(log, guardian, log.end + 1).verified_at is not None}
