"""Cases as YAML tells them: given these events, when this is asked, then that is answered, by this clause.

The same cases are run against fold and decide (unit) and over HTTP on a real Kafka (stack), so a case says what is
usual only where it matters: an event's cells are those that are asked for, a grant is separate and under version 1,
events come a minute after another, and `account:ann` is the subject. What a case may say beyond the events' own fields:

- `by: mum` a guardian acted; `guardian: mum` is her account; `age: 16` a birth date so many years and some days ago
- `at: PT1H` recorded so long after the start; `ago: PT1H`, `ahead: PT1H` the event's own clock, from the log's
- `valid_for: P1D` from its recording; `expected_position: 0`, `request: 0`, `evidence: [0]` events by their place
- `terms` changes the first version (`purposes/ads.delivery/opt_out: false`; null takes out), `revisions` are later ones
- `announced` is what else concerns everybody: `ControllerChanged`, `ServiceDiscontinued`
- `refused_by_intake: true` no caller gets it into the log: over HTTP it is refused, and then written to the log itself
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import yaml

from consentry.policy.fields import root_of
from consentry.policy.wording import clauses_of

CASES = Path(__file__).parent / "cases"
CHAPTERS = (
    "preamble",
    "1-collection",
    "1-exemptions",
    "2-cookies",
    "3-sharing",
    "4-storage",
    "6-rights",
    "7-minors",
    "7-majority",
    "8-revisions",
    "prompt",
    "freshness",
    "order",
)
SUBJECT = "account:ann"
SOME_DAYS = timedelta(days=100)
_PERSONS = ("account:", "device:")
_CONTROLLER = {"role": "controller", "id": "olga"}
_SYSTEM = {"role": "system", "id": "intake"}
_ACTOR_OF = {
    "ConsentRevoked": _CONTROLLER,
    "ConsentInvalidated": _CONTROLLER,
    "GuardianVerified": _CONTROLLER,
    "GuardianUnlinked": _CONTROLLER,
    "ExemptionInvoked": _CONTROLLER,
    "ExemptionEnded": _CONTROLLER,
    "RightsResolved": _CONTROLLER,
    "QuarantineReleased": _CONTROLLER,
    "SubjectQuarantined": _SYSTEM,
    "SubjectErased": _SYSTEM,
}
_OF_CELLS = ("ConsentGiven", "ConsentReaffirmed", "ConsentRequested", "ConsentDeferred")
_OF_EXEMPTIONS = ("ExemptionInvoked", "ExemptionEnded")
_USUAL: dict[str, dict[str, Any]] = {
    "ConsentGiven": {"policy_version": 1, "expression": "separate"},
    "ConsentReaffirmed": {"policy_version": 1},
    "ConsentRequested": {"policy_version": 1},
    "ConsentDeferred": {"policy_version": 1},
    "ConsentRevoked": {"reason": "the function was retired"},
    "ConsentInvalidated": {"reason": "no notice was given"},
    "PolicyAccepted": {"policy_version": 1},
    "AgeAsserted": {"source": "declared"},
    "GuardianLinked": {"relation": "mother"},
    "GuardianVerified": {"method": "video call"},
    "GuardianUnlinked": {"reason": "custody has changed"},
    "ExemptionInvoked": {"legal_ref": "Law 1", "approver": "bob", "valid_for": "P30D"},
    "ExemptionEnded": {"legal_ref": "Law 1", "approver": "bob"},
    "RightsResolved": {"outcome": "granted", "reason": "it was found right"},
    "AccountClosed": {"identity_verified": True, "method": "support call"},
    "SubjectQuarantined": {"position": "consent-intake.shop-0@7", "error": "truncated"},
    "QuarantineReleased": {
        "position": "consent-intake.shop-0@7",
        "disposition": "no_effect",
        "reason": "a duplicate",
        "approver": "bob",
    },
    "SubjectErased": {"request": "00000000-0000-4000-8000-000000000001"},
}


class Told(msgspec.Struct, frozen=True):
    """An event of a case: what it says of itself."""

    kind: str
    fields: dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    chapter: str
    number: int
    name: str
    clauses: tuple[str, ...]
    given: tuple[Told, ...]
    when: dict[str, Any]
    then: dict[str, Any]
    terms: dict[str, Any]
    revisions: tuple[dict[str, Any], ...]
    announced: tuple[dict[str, Any], ...]
    refused_by_intake: bool

    @property
    def title(self) -> str:
        return f"{self.chapter}: {self.name}"

    @property
    def hangs_on_the_clock(self) -> bool:
        """Whether it needs clocks, policies or a view that a running log cannot be given."""
        return bool(
            self.terms
            or self.revisions
            or self.announced
            or self.when.keys() & {"at", "staleness", "min_position"}
            or any(told.fields.keys() & {"at", "birth_date"} for told in self.given)
        )

    def event_id(self, place: int) -> UUID:
        return uuid5(NAMESPACE_URL, f"{self.chapter} {self.number} {place % len(self.given) if self.given else place}")


class Telling(msgspec.Struct, frozen=True):
    """How one run tells a case: its ids, its positions, and when it is."""

    event_id: Callable[[int], UUID]
    position: Callable[[int], str]
    person: Callable[[str], str] = str


def milliseconds(duration: str) -> int:
    """PT2H, or a moment beside it: PT2H-1ms."""
    whole, _, less = duration.partition("-")
    return root_of(whole).duration() - (int(less.removesuffix("ms")) if less else 0)


@cache
def cases_of(chapter: str) -> tuple[Case, ...]:
    told = read_yaml((CASES / f"{chapter}.yaml").read_text(encoding="utf-8"))
    cases = told["cases"] if isinstance(told, dict) else told
    return tuple(_case(chapter, number, case) for number, case in enumerate(cases))


def every_case() -> Iterator[Case]:
    for chapter in CHAPTERS:
        yield from cases_of(chapter)


def _case(chapter: str, number: int, told: dict[str, Any]) -> Case:
    unknown = told.keys() - {*Case.__struct_fields__, "clause"} | {"reason", "clause"} - told["then"].keys()
    assert not unknown, f"{chapter}: {told['name']}: {sorted(unknown)}"
    clauses = told["clause"] if isinstance(told["clause"], list) else [told["clause"]]
    return Case(
        chapter=chapter,
        number=number,
        name=told["name"],
        clauses=tuple(str(clause) for clause in clauses),
        given=tuple(_flat(told.get("given", []))),
        when=told["when"],
        then={**told["then"], "clause": str(told["then"]["clause"])},
        terms=told.get("terms", {}),
        revisions=tuple(told.get("revisions", [])),
        announced=tuple(told.get("announced", [])),
        refused_by_intake=told.get("refused_by_intake", False),
    )


def _flat(given: list[Any]) -> Iterator[Told]:
    """Events may be told in lists, so that a story begun once can be gone on with."""
    for entry in given:
        if isinstance(entry, list):
            yield from _flat(entry)
        elif isinstance(entry, str):
            yield Told(entry, {})
        else:
            ((kind, fields),) = entry.items()
            yield Told(kind, fields or {})


def request_of(case: Case) -> dict[str, Any]:
    """What is asked, without what is said of the clock."""
    request = {name: value for name, value in case.when.items() if name not in ("at", "staleness")}
    if isinstance(request["data"], str):
        request["data"] = [request["data"]]
    return request


def body_of(case: Case, place: int, recorded_at: int, telling: Telling) -> dict[str, Any]:
    """The event at `place` as a caller would send it, so that it is recorded at about `recorded_at`."""
    told = case.given[place]
    fields = {**_USUAL.get(told.kind, {}), **_asked_cells(case, told), **told.fields}
    fields.pop("at", None)
    ago, ahead = fields.pop("ago", "PT0S"), fields.pop("ahead", "PT0S")
    occurred_at = recorded_at - milliseconds(ago) + milliseconds(ahead)
    if "valid_for" in fields:
        fields["valid_until"] = recorded_at + milliseconds(fields.pop("valid_for"))
    if "age" in fields:
        fields["birth_date"] = _born(fields.pop("age"), recorded_at)
    if isinstance(fields.get("expected_position"), int):
        fields["expected_position"] = telling.position(fields["expected_position"])
    if isinstance(fields.get("request"), int):
        fields["request"] = str(telling.event_id(fields["request"]))
    if "guardian" in fields:
        fields["guardian"] = f"account:{fields['guardian']}"
    actor = _actor(told, fields.pop("by", None))
    body = {
        "type": told.kind,
        "event_id": str(telling.event_id(place)),
        "subject": SUBJECT,
        "occurred_at": occurred_at,
        "actor": actor,
        "channel": "app",
        **fields,
    }
    return {name: _named(value, telling) for name, value in body.items()}


def _asked_cells(case: Case, told: Told) -> dict[str, Any]:
    asked = request_of(case)
    usual: dict[str, Any] = {}
    if told.kind in _OF_CELLS or told.kind == "PreferenceSet":
        usual["purpose"] = asked["purpose"]
    if told.kind in (*_OF_CELLS, *_OF_EXEMPTIONS):
        usual |= {"operations": [asked["operation"]], "data": asked["data"]}
        if asked.get("recipient"):
            usual["recipients"] = [asked["recipient"]]
    return usual


def _actor(told: Told, by: Any) -> dict[str, str]:
    if isinstance(by, dict):
        return by
    if by is not None:
        return {"role": "guardian", "id": f"account:{by}"}
    if told.kind == "AgeAsserted":
        source = told.fields.get("source", "declared")
        return {"verified": _CONTROLLER, "inferred": _SYSTEM}.get(source, {"role": "subject", "id": SUBJECT})
    return _ACTOR_OF.get(told.kind, {"role": "subject", "id": SUBJECT})


def _born(age: int, now: int) -> str:
    today = datetime.fromtimestamp(now / 1000, UTC).date() - SOME_DAYS
    return date(today.year - age, today.month, min(today.day, 28)).isoformat()


def _named(value: Any, telling: Telling) -> Any:
    if isinstance(value, str) and value.startswith(_PERSONS):
        return telling.person(value)
    if isinstance(value, dict):
        return {name: _named(part, telling) for name, part in value.items()}
    return value


# policies


def read_yaml(document: str) -> Any:
    """By libyaml, where it is there: ten times as fast, and the cases change hundreds of documents."""
    return yaml.load(document, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """A policy's document holds no aliases, and times as they are written."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


_Dumper.add_representer(
    datetime, lambda dumper, moment: dumper.represent_str(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
)


def patched(document: str, changes: dict[str, Any]) -> str:
    """The document with each value at its path (`purposes/ads.delivery/opt_out`) put in place; null takes it out."""
    values = read_yaml(document)
    for path, value in changes.items():
        *way, last = path.split("/")
        place = values
        for step in way:
            place = place.setdefault(step, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def revised(document: str, text: str, version: int, effective_at: int, revision: dict[str, Any]) -> tuple[str, str]:
    """The next version's document and wording; `clauses: {1.2.a: material}` also changes a clause's wording."""
    clauses = revision.get("clauses", {})
    for clause in clauses:
        text = _amended(text, clause, version)
    changes = {
        "version": version,
        "announced_at": datetime.fromtimestamp(0, UTC),
        "effective_at": datetime.fromtimestamp(effective_at / 1000, UTC),
        **revision.get("change", {}),
    }
    if clauses:
        changes["clause_changes"] = clauses
    elif "clause_changes" in read_yaml(document):
        changes["clause_changes"] = None
    return patched(document, changes), text


def _amended(text: str, clause: str, version: int) -> str:
    """The wording with one more sentence at the end of the clause."""
    words = clauses_of(text)[clause][-40:].split()
    lines = text.splitlines()
    place = next(place for place, line in enumerate(lines) if " ".join(words) in " ".join(line.split()))
    start = lines[place].rfind(words[-1]) + len(words[-1])
    lines[place] = f"{lines[place][:start]} (As of version {version}.){lines[place][start:]}"
    return "\n".join(lines)
