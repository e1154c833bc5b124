"""Random histories of a small policy that has one of everything."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any
from uuid import UUID

import yaml
from oracle.versions import policy_of

from consentry.errors import InvalidPolicy
from consentry.events import (
    AnyPolicyEvent,
    ControllerChanged,
    IncidentDeclared,
    PolicyRevised,
    RecordedPolicyEvent,
    ServiceDiscontinued,
)
from consentry.policy import ALLOWING
from consentry.terms import Position, Reason

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGIN = 1_767_830_400_000  # 2026-01-08
"""When the first version takes effect."""
SPAN_DAYS = 40
KINDS = 1000
"""How many policy histories there are; histories of subjects share them."""

Document = dict[str, Any]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def first_version() -> Document:
    return {
        "policy": "small",
        "version": 1,
        "language": "en",
        "jurisdiction": "CN",
        "controller": {"id": "small", "name": "Small", "contact": "a@small.example"},
        "effective_at": _instant(BEGIN),
        "text": "small.txt",
        "guardian_required_below": 18,
        "sensitive_below": 14,
        "unknown_age": "adult",
        "prompt_cooldown": "PT48H",
        "notice_period": "P1D",
        "time_zone": "Asia/Shanghai",
        "freshness": {"consent": "PT2S", "exemption": "PT1H", "necessity": "PT24H"},
        "subject_types": ["account", "device"],
        "clause_of": {reason.value: f"C-{number}" for number, reason in enumerate(Reason) if reason not in ALLOWING},
        "storage_location": "CN",
        "transfer_mechanisms": ["assessment", "contract"],
        "retention_after_end": "P0D",
        "strict_purpose_change": True,
        "data": {
            "plain": {"dpv": "Username"},
            "other": {"dpv": "Gender"},
            "secret": {"dpv": "GPSCoordinate", "sensitive": True},
            "counts": {"dpv": "BrowsingBehaviour", "anonymisable": True},
        },
        "purposes": {
            "basic": {"clause": "1", "basis": "necessity", "data": _data(["plain", "secret", "counts"], ["other"])},
            "safety": {
                "clause": "2", "basis": "necessity", "protects_minors": True,
                "operations": ["collect", "use", "share"], "data": _data(["plain"], ["other"]),
                "recipients": {"entrusted": ["host"], "third_party": ["shop"]},
            },
            "city": {"clause": "3", "basis": "necessity", "opt_out": True, "data": _data(["plain"], [])},
            "feed": {"clause": "4", "basis": "consent", "opt_out": True, "data": _data([], ["plain", "counts"])},
            "profile": {"clause": "5", "basis": "consent", "data": _data(["plain"], ["other", "secret"])},
            "club": {"clause": "6", "basis": "consent", "protects_minors": True, "data": _data([], ["plain"])},
            "camera": {
                "clause": "7", "basis": "consent", "permission": "camera", "active": True,
                "data": _data(["plain", "secret"], []),
            },
            "partner": {
                "clause": "8", "basis": "consent", "operations": ["use", "share"], "form": "deidentified",
                "data": _data([], ["plain", "counts"]),
                "recipients": {"affiliate": ["labs"], "third_party": ["shop"]},
            },
            "public": {
                "clause": "9", "basis": "consent", "separate": True, "operations": ["use", "disclose"],
                "data": _data([], ["plain"]),
            },
            "abroad": {
                "clause": "10", "basis": "consent", "operations": ["export"], "data": _data([], ["plain"]),
                "recipients": {"third_party": ["cloud"]},
            },
        },
        "exemptions": {
            "a": _exemption("20", ["collect", "store", "use", "share", "disclose"], leaving="21", guardian=False),
            "c": _exemption("22", ["collect", "store", "use"], guardian=False, after_closure=True),
            "e": _exemption("23", ["use", "share", "disclose"], leaving="24", voided_by_objection=True),
            "g": _exemption("25", ["collect", "store", "use"]),
        },
    }  # fmt: skip


def _data(necessary: list[str], optional: list[str]) -> Document:
    return {"necessary": necessary, "optional": optional}


def _exemption(clause: str, operations: list[str], **rest: object) -> Document:
    return {"clause": clause, "title": "a case", "operations": operations, **rest}


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=KINDS)
def policy_history(kind: int) -> tuple[RecordedPolicyEvent, ...]:
    """One of `KINDS` histories: the first version, up to three more, and what else concerns everybody."""
    rng = Random(f"policy {kind}")
    document = first_version()
    _vary(rng, document)
    original = deepcopy(document)
    events: list[AnyPolicyEvent] = [_revised(rng, document)]
    effective_at = BEGIN
    for version in range(2, 2 + rng.choice((0, 1, 1, 1, 2, 2, 3))):
        effective_at += rng.randrange(1, SPAN_DAYS // 2 * 24) * HOUR_MS + rng.choice((0, 0, 1))
        document = _next_version(rng, document, original, version, effective_at)
        events.append(_revised(rng, document))
        if rng.random() < 0.05:
            events.append(_revised(rng, document))  # two publishers at once: the second does not follow
    for chance, make in ((0.15, _controller_changed), (0.05, _controller_changed), (0.06, _discontinued)):
        if rng.random() < chance:
            events.insert(rng.randrange(1, len(events) + 1), make(rng))
    if rng.random() < 0.1:
        incident = IncidentDeclared(**_envelope(rng), data=("plain",), from_at=BEGIN, to_at=BEGIN + 1)
        events.append(incident)
    return tuple(
        RecordedPolicyEvent(Position(1, 0, offset), BEGIN - 10 * DAY_MS + offset, event)
        for offset, event in enumerate(events, start=1)
    )


def _envelope(rng: Random) -> Document:
    return {"event_id": UUID(int=rng.getrandbits(128)), "policy": "small", "occurred_at": BEGIN - 10 * DAY_MS}


def _written(document: Document) -> str:
    return str(yaml.dump(document, Dumper=DUMPER, sort_keys=False))


def _revised(rng: Random, document: Document) -> PolicyRevised:
    text = _written(document)
    policy = policy_of(text)
    return PolicyRevised(
        **_envelope(rng), version=policy.version, effective_at=policy.effective_at, document=text, text="t",
        text_hash="0" * 64,
    )  # fmt: skip


def _controller_changed(rng: Random) -> ControllerChanged:
    return ControllerChanged(
        **_envelope(rng), successor="heir", terms_kept=rng.random() < 0.3, effective_at=_moment(rng)
    )


def _discontinued(rng: Random) -> ServiceDiscontinued:
    return ServiceDiscontinued(**_envelope(rng), effective_at=_moment(rng))


def _moment(rng: Random) -> int:
    return BEGIN + rng.randrange(SPAN_DAYS * 24) * HOUR_MS


def _vary(rng: Random, document: Document) -> None:
    """The first version is not always the same."""
    document["unknown_age"] = rng.choice(("adult",) * 8 + ("minor", "child"))
    if rng.random() < 0.1:
        document["sensitive_below"] = rng.choice((0, 18, 16))
    if rng.random() < 0.2:
        document["time_zone"] = rng.choice(("Europe/Berlin", "America/New_York"))


def _next_version(rng: Random, former: Document, original: Document, version: int, effective_at: int) -> Document:
    for _ in range(20):
        document = deepcopy(original if rng.random() < 0.08 else former)
        document.pop("clause_changes", None)
        document["version"], document["effective_at"] = version, _instant(effective_at)
        for change in rng.choices(CHANGES, k=rng.choice((0, 1, 1, 1, 2, 3))):
            change(rng, document)
        try:
            policy_of(_written(document))
        except InvalidPolicy:
            continue
        return document
    raise AssertionError("no change of twenty made a valid version")


# --- what a revision may change ---


def _line(rng: Random, document: Document) -> Document:
    line: Document = document["purposes"][rng.choice(list(document["purposes"]))]
    return line


def _toggle(*fields: str) -> Callable[[Random, Document], None]:
    def change(rng: Random, document: Document) -> None:
        line, field = _line(rng, document), rng.choice(fields)
        line[field] = not line.get(field, False)

    return change


def _basis(rng: Random, document: Document) -> None:
    line = _line(rng, document)
    line["basis"] = "consent" if line["basis"] == "necessity" else "necessity"


def _permission(rng: Random, document: Document) -> None:
    line = document["purposes"].get("camera") if rng.random() < 0.6 else _line(rng, document)
    if line is not None:
        line.pop("permission", None)
        if (permission := rng.choice((None, "camera", "location"))) is not None:
            line["permission"] = permission


def _form(rng: Random, document: Document) -> None:
    line = document["purposes"].get("partner") if rng.random() < 0.6 else _line(rng, document)
    if line is not None:
        line["form"] = rng.choice(("identifiable", "deidentified", "anonymised"))


def _move(rng: Random, document: Document) -> None:
    data = _line(rng, document)["data"]
    one, another = rng.choice((("necessary", "optional"), ("optional", "necessary")))
    if data[one]:
        data[another].append(data[one].pop(rng.randrange(len(data[one]))))


def _more_data(rng: Random, document: Document) -> None:
    data = _line(rng, document)["data"]
    missing = sorted(set(document["data"]) - set(data["necessary"]) - set(data["optional"]))
    if missing:
        data[rng.choice(("necessary", "optional"))].append(rng.choice(missing))


def _less_data(rng: Random, document: Document) -> None:
    data = _line(rng, document)["data"]
    kind = rng.choice(("necessary", "optional"))
    if data[kind]:
        data[kind].pop()


def _operations(rng: Random, document: Document) -> None:
    line = _line(rng, document)
    known = line.setdefault("operations", ["collect", "store", "use"])
    operation = rng.choice(("collect", "store", "use", "share", "disclose"))
    if operation not in known:
        known.append(operation)
    elif len(known) > 1:
        known.remove(operation)


def _recipients(rng: Random, document: Document) -> None:
    line = _line(rng, document)
    recipients = line.setdefault("recipients", {}) if rng.random() < 0.3 else line.get("recipients")
    if recipients is None:
        return
    name = rng.choice(("host", "shop", "labs"))
    for role in list(recipients):
        recipients[role] = [known for known in recipients[role] if known != name]
    recipients.setdefault(rng.choice(("entrusted", "affiliate", "third_party")), []).append(name)
    line["recipients"] = {role: names for role, names in recipients.items() if names}


def _fewer_recipients(rng: Random, document: Document) -> None:
    recipients = _line(rng, document).get("recipients")
    if recipients and len(recipients) > 1:
        recipients.popitem()


def _datum(rng: Random, document: Document) -> None:
    datum = document["data"][rng.choice(list(document["data"]))]
    field = rng.choice(("sensitive", "anonymisable", "dpv"))
    datum[field] = rng.choice(("Username", "Age")) if field == "dpv" else not datum.get(field, False)


def _purposes(rng: Random, document: Document) -> None:
    if rng.random() < 0.5 and len(document["purposes"]) > 6:
        del document["purposes"][rng.choice(list(document["purposes"]))]
    else:
        document["purposes"]["extra"] = {
            "clause": "11", "basis": rng.choice(("consent", "necessity")), "data": _data(["plain"], []),
        }  # fmt: skip


def _setting(rng: Random, document: Document) -> None:
    field, values = rng.choice(
        (
            ("guardian_required_below", (18, 17, 19)), ("sensitive_below", (14, 13, 15)),
            ("unknown_age", ("child", "minor", "adult")), ("prompt_cooldown", ("PT24H", "PT48H", "PT72H")),
            ("notice_period", ("PT1H", "P1D", "P2D")), ("time_zone", ("Asia/Shanghai", "Europe/Berlin")),
            ("storage_location", ("CN", "SG")), ("retention_after_end", ("P0D", "P30D")),
            ("strict_purpose_change", (True, False)), ("jurisdiction", ("CN", "DE")),
            ("transfer_mechanisms", (["assessment"], ["assessment", "contract"], ["contract", "rules"])),
            ("language", ("en", "de")),
        )
    )  # fmt: skip
    document[field] = rng.choice(values)


def _freshness(rng: Random, document: Document) -> None:
    document["freshness"][rng.choice(("consent", "exemption", "necessity"))] = rng.choice(("PT1S", "PT2S", "PT2H"))


def _controller(rng: Random, document: Document) -> None:
    document["controller"][rng.choice(("id", "name", "contact"))] = rng.choice(("small", "large"))


def _exemptions(rng: Random, document: Document) -> None:
    exemptions = document["exemptions"]
    what = rng.randrange(8)
    if what == 0:
        exemptions["k"] = _exemption("26", ["collect", "store", "use"], guardian=False, after_closure=True)
    elif what == 1 and len(exemptions) > 2:
        del exemptions[rng.choice(list(exemptions))]
    else:
        one = exemptions[rng.choice(list(exemptions))]
        if what <= 5:
            field = rng.choice(("guardian", "after_closure", "voided_by_objection"))
            one[field] = not one.get(field, field == "guardian")
        elif what == 6:
            one["operations"] = rng.choice((["collect", "store", "use"], ["store", "use"]))
        else:
            one["clause"] = rng.choice(("27", "28"))


def _clauses(rng: Random, document: Document) -> None:
    clause = str(rng.randrange(1, 11))
    document["clause_changes"] = {clause: rng.choice(("editorial", "material"))}


def _clause(rng: Random, document: Document) -> None:
    _line(rng, document)["clause"] = str(rng.randrange(1, 13))


CHANGES: tuple[Callable[[Random, Document], None], ...] = (
    _toggle("separate", "opt_out", "active", "protects_minors"), _toggle("separate", "opt_out", "protects_minors"),
    _basis, _permission, _form, _move, _more_data, _less_data, _operations, _recipients, _fewer_recipients, _datum,
    _datum, _purposes, _setting, _setting, _freshness, _controller, _exemptions, _exemptions, _clauses, _clause,
)  # fmt: skip
