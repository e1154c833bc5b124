"""How a policy as a whole differs from its next version: ages, notice, freshness, exemptions, controller. Pure."""

from collections.abc import Iterator, Mapping
from operator import attrgetter

from consentry.policy.change import ASKS, EDITORIAL, NARROWS, REDUCES_ALONE, Change, ChangeClass, Reduces, Weight
from consentry.policy.document import Exemption, Policy
from consentry.terms import AgeBand

_QUANTITIES = (
    # field, where it stands, when it grows, when it shrinks
    ("guardian_required_below", "guardian_required_below", REDUCES_ALONE, REDUCES_ALONE),
    ("sensitive_below", "sensitive_below", REDUCES_ALONE, REDUCES_ALONE),
    ("prompt_cooldown", "prompt_cooldown_ms", NARROWS, REDUCES_ALONE),
    ("notice_period", "notice_period_ms", NARROWS, REDUCES_ALONE),
    ("freshness.consent", "freshness.consent_ms", REDUCES_ALONE, NARROWS),
    ("freshness.exemption", "freshness.exemption_ms", REDUCES_ALONE, NARROWS),
    ("freshness.necessity", "freshness.necessity_ms", REDUCES_ALONE, NARROWS),
    ("retention_after_end", "retention_after_end_ms", ASKS, NARROWS),
    ("strict_purpose_change", "strict_purpose_change", NARROWS, REDUCES_ALONE),
)
_TEXTS = (
    # field, when it is another
    ("time_zone", REDUCES_ALONE),
    ("storage_location", ASKS),
    ("jurisdiction", ASKS),
    ("controller.id", ASKS),
    ("controller.name", EDITORIAL),
    ("controller.contact", EDITORIAL),
    ("language", EDITORIAL),
    ("subject_types", EDITORIAL),
)
_TABLES = ("authzen.subject_types", "authzen.actions", "authzen.resource_types", "authzen.data", "clause_of")
"""words only, whatever changes in them"""
_EXEMPTION_FLAGS = (
    # field, when it is set, when it is taken away
    ("guardian", NARROWS, REDUCES_ALONE),
    ("after_closure", REDUCES_ALONE, NARROWS),
    ("voided_by_objection", NARROWS, REDUCES_ALONE),
)
_YEARS = {AgeBand.CHILD: 0, AgeBand.MINOR: 1, AgeBand.ADULT: 2}
_UNITS = ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def whole_changes(old: Policy, new: Policy) -> Iterator[Change]:
    """Every difference outside the lines of purposes. One that asks again makes every cell's consent due again."""
    yield from _quantities(old, new)
    yield from _unknown_age(old, new)
    yield from _texts(old, new)
    yield from _mechanisms(old, new)
    yield from _data_table(old, new)
    yield from _exemptions(old.exemptions, new.exemptions)


def whole_change(weight: Weight, what: str, field: str, clause: str = "") -> Change:
    asks = weight.change is ChangeClass.MATERIAL and weight.touches_cells
    return Change("", (), (), (), weight.change, weight.reduces is Reduces.ALWAYS, clause, what, field, asks)


def _quantities(old: Policy, new: Policy) -> Iterator[Change]:
    for field, path, when_grown, when_shrunk in _QUANTITIES:
        before, after = attrgetter(path)(old), attrgetter(path)(new)
        if before != after:
            weight = when_grown if after > before else when_shrunk
            values = (_duration(after), _duration(before)) if path.endswith("_ms") else (_plain(after), _plain(before))
            yield whole_change(weight, f"{field} is {values[0]}, before {values[1]}", field)


def _unknown_age(old: Policy, new: Policy) -> Iterator[Change]:
    if old.unknown_age is not new.unknown_age:
        weight = REDUCES_ALONE if _YEARS[new.unknown_age] > _YEARS[old.unknown_age] else NARROWS
        what = f"who says no age counts as {new.unknown_age}, before as {old.unknown_age}"
        yield whole_change(weight, what, "unknown_age")


def _texts(old: Policy, new: Policy) -> Iterator[Change]:
    for field, weight in _TEXTS:
        before, after = attrgetter(field)(old), attrgetter(field)(new)
        if before != after:
            yield whole_change(weight, f"{field} is {_plain(after)}, before {_plain(before)}", field)
    for field in _TABLES:
        if attrgetter(field)(old) != attrgetter(field)(new):
            yield whole_change(EDITORIAL, f"the table {field} is another", field)


def _mechanisms(old: Policy, new: Policy) -> Iterator[Change]:
    field = "transfer_mechanisms"
    for name in new.transfer_mechanisms:
        if name not in old.transfer_mechanisms:
            yield whole_change(REDUCES_ALONE, f"data may be exported by {name} too", field)
    for name in old.transfer_mechanisms:
        if name not in new.transfer_mechanisms:
            yield whole_change(NARROWS, f"data may no longer be exported by {name}", field)


def _data_table(old: Policy, new: Policy) -> Iterator[Change]:
    """An entry alone allows nothing: lines that name it, or no longer do, are told with their purposes."""
    for names, others, word in ((new.data, old.data, "is new in"), (old.data, new.data, "is gone from")):
        for name in names:
            if name not in others:
                yield whole_change(EDITORIAL, f"{name} {word} the table of data", f"data.{name}")


def _exemptions(old: Mapping[str, Exemption], new: Mapping[str, Exemption]) -> Iterator[Change]:
    for code, exemption in new.items():
        field = f"exemptions.{code}"
        former = old.get(code)
        if former is None:
            what = f"the exemption {code} is new: {exemption.title}"
            yield whole_change(REDUCES_ALONE, what, field, exemption.clause)
            continue
        for part, weight, what in _exemption_changes(former, exemption):
            yield whole_change(weight, f"exemption {code}: {what}", f"{field}.{part}", exemption.clause)
    for code, exemption in old.items():
        if code not in new:
            yield whole_change(NARROWS, f"the exemption {code} is gone", f"exemptions.{code}", exemption.clause)


def _exemption_changes(old: Exemption, new: Exemption) -> Iterator[tuple[str, Weight, str]]:
    for operation in new.operations:
        if operation not in old.operations:
            yield "operations", REDUCES_ALONE, f"it admits {operation} too"
    for operation in old.operations:
        if operation not in new.operations:
            yield "operations", NARROWS, f"it no longer admits {operation}"
    for name, when_set, when_taken in _EXEMPTION_FLAGS:
        if getattr(old, name) != getattr(new, name):
            weight, word = (when_set, "now") if getattr(new, name) else (when_taken, "no longer")
            yield name, weight, f"{name} is {word} said of it"
    if old.leaving != new.leaving:
        yield "leaving", _weight_of_leaving(old, new), f"what leaves stands under {new.leaving or 'no clause'}"
    if old.title != new.title:
        yield "title", EDITORIAL, f"its title is {new.title}"
    if old.clause != new.clause:
        yield "clause", EDITORIAL, f"it stands under clause {new.clause}, before {old.clause}"


def _weight_of_leaving(old: Exemption, new: Exemption) -> Weight:
    if old.leaving is None:
        return REDUCES_ALONE
    return NARROWS if new.leaving is None else EDITORIAL


def _duration(duration_ms: int) -> str:
    """In the largest unit that says it in whole numbers."""
    for unit_ms, unit in _UNITS:
        if duration_ms and duration_ms % unit_ms == 0:
            return f"{duration_ms // unit_ms} {unit}"
    return f"{duration_ms} ms" if duration_ms else "0"


def _plain(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(str(part) for part in value)
        case _:
            return str(value) or "not said"
