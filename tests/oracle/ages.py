"""How old the subject was at a moment, as known at a place of the log."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from oracle.guardians import standing, verifications
from oracle.record import Entry
from oracle.verdict import Case

from consentry.events import AccountClosed, AgeAsserted, GuardianVerified
from consentry.policy import Policy
from consentry.terms import AgeBand, AgeSource

CHILD, MINOR, ADULT = 0, 1, 2
CLASS = {AgeBand.CHILD: CHILD, AgeBand.MINOR: MINOR, AgeBand.ADULT: ADULT}
STRENGTH = {AgeSource.INFERRED: 1, AgeSource.DECLARED: 2, AgeSource.GUARDIAN: 3, AgeSource.VERIFIED: 4}
LONG_AGO = -(10**18)


def class_at(case: Case, known: int, moment: int) -> int:
    """CHILD, MINOR or ADULT at `moment`, from the statements that stand at or before the place `known`."""
    key = known, moment
    if key not in case.ages:
        case.ages[key] = _class_at(case, known, moment)
    return case.ages[key]


def class_now(case: Case) -> int:
    return class_at(case, case.log.end, case.now)


def _class_at(case: Case, known: int, moment: int) -> int:
    lines = case.lines
    verified = [v.place for v in verifications(case.log) if v.place <= known and v.at <= moment]
    current = CLASS[lines.unknown_age]
    if verified:
        current = min(current, MINOR)
    earlier: list[tuple[int, int]] = []
    """what was said so far, and when it was recorded; a guardian's first verification says minor"""
    strongest = 0
    for entry in case.log:
        if entry.place > known:
            break
        if verified and entry.place == min(verified):
            strongest = max(strongest, STRENGTH[AgeSource.DECLARED])
            earlier.append((MINOR, entry.at))
        if not isinstance(entry.event, AgeAsserted):
            continue
        said = _said(entry, lines, moment)
        if said is None:
            continue
        since = max([at for former, at in earlier if former < said], default=LONG_AGO)
        if said <= current or _may_raise(case, entry, strongest, since):
            current = said
        earlier.append((said, entry.at))
        strongest = max(strongest, STRENGTH[entry.event.source])
    return current


def _said(entry: Entry, lines: Policy, moment: int) -> int | None:
    """The class that a statement gives the subject at `moment`; None: it says nothing of that time."""
    event = entry.event
    assert isinstance(event, AgeAsserted)
    if event.birth_date is None:
        assert event.age_band is not None
        return None if entry.clock > moment else CLASS[event.age_band]
    years = _years(date.fromisoformat(event.birth_date), _day(moment, lines.time_zone))
    if years < lines.sensitive_below:
        return CHILD
    return MINOR if years < lines.guardian_required_below else ADULT


def _may_raise(case: Case, entry: Entry, strongest: int, since: int) -> bool:
    event = entry.event
    assert isinstance(event, AgeAsserted)
    if event.source is AgeSource.GUARDIAN and not _by_a_verified_guardian(case, entry):
        return False
    if any(isinstance(former.event, AccountClosed) and former.place < entry.place for former in case.log):
        return False  # nothing loosens once the account is closed
    stronger = event.source is AgeSource.VERIFIED or STRENGTH[event.source] > strongest
    return stronger and entry.clock > since and not entry.ahead


def _by_a_verified_guardian(case: Case, entry: Entry) -> bool:
    return entry.guardian is not None and standing(case.log, entry.guardian, entry.place).verified_at is not None


def _day(moment: int, zone: str) -> date:
    return datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).date()


def birthday(born: date, years: int) -> date:
    """29 February: 1 March in common years."""
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 3, 1)


def _years(born: date, day: date) -> int:
    years = day.year - born.year
    return years if day >= birthday(born, years) else years - 1


def lowering(case: Case) -> Entry | None:
    """The last assertion that lowered the age, judged at its own moment."""
    last = None
    for entry in case.log:
        if isinstance(entry.event, AgeAsserted):
            before = class_at(case, entry.place - 1, entry.at)
            if before > class_at(case, entry.place, entry.at):
                last = entry
    return last


def of_age_since(case: Case) -> int | None:
    """Start of the unbroken time of being of age that reaches to now; None: from the start of time, or not at all."""
    turns = set()
    zone = ZoneInfo(case.lines.time_zone)
    for entry in case.log:
        event = entry.event
        if isinstance(event, GuardianVerified):
            turns.add(entry.at)
        if isinstance(event, AgeAsserted):
            if event.birth_date is None:
                turns.add(entry.clock)
                continue
            born = date.fromisoformat(event.birth_date)
            for line in (case.lines.sensitive_below, case.lines.guardian_required_below):
                day = birthday(born, line)
                turns.add(int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000))
    since = None
    for turn in sorted((t for t in turns if t <= case.now), reverse=True):
        if class_at(case, case.log.end, turn) != ADULT:
            return since
        since = turn
    if since is not None and class_at(case, case.log.end, since - 1) != ADULT:
        return since
    return None
