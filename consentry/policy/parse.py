"""YAML text -> Policy. Refuses what it does not know, and says on which line. No files, no revisions."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from consentry.errors import InvalidPolicy
from consentry.policy.document import (
    ALLOWING,
    LEAVING,
    ClauseChange,
    Controller,
    Datum,
    Exemption,
    Freshness,
    Policy,
    Purpose,
    RecipientRole,
    Vocabulary,
)
from consentry.policy.fields import Field, Record, line_number, raise_all, root_of
from consentry.terms import AgeBand, Basis, Form, Operation, Reason

DEFAULT_OPERATIONS = (Operation.COLLECT, Operation.STORE, Operation.USE)
DENYING = tuple(reason for reason in Reason if reason not in ALLOWING)
"""Reasons of the engine that a policy names a clause for: an ALLOW names its purpose's or its exemption's."""
RESOURCE_TYPES = ("purpose",)
"""What a gateway's resource type can mean: a purpose, whose name is the resource's id."""
OLDEST = 150
_NEEDED = (
    "policy", "version", "language", "jurisdiction", "controller", "effective_at", "text",
    "guardian_required_below", "sensitive_below", "unknown_age", "prompt_cooldown", "notice_period",
    "time_zone", "subject_types", "clause_of", "data", "purposes",
)  # fmt: skip
_POSSIBLE = (
    "announced_at", "freshness", "authzen", "storage_location", "transfer_mechanisms", "retention_after_end",
    "strict_purpose_change", "exemptions", "clause_changes",
)  # fmt: skip


def parse_policy(document: str) -> Policy:
    """The document, typed and checked.

    Raises InvalidPolicy naming line, field and remedy, and with it every other fault that can be told in one go: a
    field that is unknown, missing or not of its type, a name that points nowhere, a value out of bounds, a reason to
    deny without a clause.
    """
    faults: list[InvalidPolicy] = []
    policy = _policy(root_of(document, faults))
    raise_all(sorted(faults, key=line_number))
    return policy


def _policy(root: Field) -> Policy:
    top = root.record(needs=_NEEDED, may=_POSSIBLE)
    data = _Data(top["data"])
    subject_types = top["subject_types"].words()
    if not subject_types:
        top["subject_types"].refuse("no subject type is named")
    guardian_required_below, sensitive_below = _age_lines(top)
    announced_at, effective_at = _times(top)
    return Policy(
        id=top["policy"].word(),
        version=top["version"].whole(1, 999_999),
        language=top["language"].word(),
        jurisdiction=top["jurisdiction"].word(),
        controller=_controller(top["controller"]),
        announced_at=announced_at,
        effective_at=effective_at,
        text=top["text"].text(),
        guardian_required_below=guardian_required_below,
        sensitive_below=sensitive_below,
        unknown_age=top["unknown_age"].term(AgeBand),
        prompt_cooldown_ms=top["prompt_cooldown"].duration(),
        notice_period_ms=top["notice_period"].duration(),
        time_zone=_time_zone(top["time_zone"]),
        freshness=_freshness(top),
        subject_types=subject_types,
        authzen=_vocabulary(top, subject_types, data),
        clause_of=_clause_of(top["clause_of"]),
        storage_location=top.text("storage_location"),
        transfer_mechanisms=top.words("transfer_mechanisms"),
        retention_after_end_ms=top.duration("retention_after_end", 0),
        strict_purpose_change=top.flag("strict_purpose_change", default=True),
        data=data.table,
        purposes=_purposes(top["purposes"], data),
        exemptions={code: _exemption(code, field) for code, field in top.entries("exemptions").items()},
        clause_changes=_clause_changes(top),
    )


class _Data:
    """The table of data, to look names up in."""

    def __init__(self, field: Field) -> None:
        self.table = {name: _datum(name, entry) for name, entry in field.entries().items()}
        self._is_known = not field.is_refused

    def lacks(self, name: str) -> bool:
        """False for what was refused as a name, and where the table itself could not be read."""
        return self._is_known and bool(name) and name not in self.table

    def is_sensitive(self, name: str) -> bool:
        return name in self.table and self.table[name].sensitive


def _controller(field: Field) -> Controller:
    record = field.record(needs=("id", "name", "contact"))
    return Controller(id=record["id"].word(), name=record["name"].text(), contact=record["contact"].text())


def _times(top: Record) -> tuple[int | None, int]:
    announced = top.get("announced_at")
    announced_at = None if announced is None else announced.instant()
    effective_at = top["effective_at"].instant()
    if announced_at is not None and effective_at < announced_at:
        top["effective_at"].refuse("it takes effect before it is announced")
    return announced_at, effective_at


def _age_lines(top: Record) -> tuple[int, int]:
    guardian_required_below = top["guardian_required_below"].whole(0, OLDEST)
    sensitive_below = top["sensitive_below"].whole(0, OLDEST)
    if sensitive_below > guardian_required_below and not top["guardian_required_below"].is_refused:
        top["sensitive_below"].refuse(
            f"it is above guardian_required_below ({guardian_required_below})",
            "who is below it has a guardian, so it cannot be the higher of the two",
        )
    return guardian_required_below, sensitive_below


def _time_zone(field: Field) -> str:
    name = field.text()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        field.refuse(f"{name[:40]!r} is not a time zone here", "a name of the IANA list; a bare system needs `tzdata`")
    return name


def _freshness(top: Record) -> Freshness:
    field = top.get("freshness")
    if field is None:
        return Freshness()
    record = field.record(may=("consent", "exemption", "necessity"))
    default = Freshness()
    return Freshness(
        consent_ms=record.duration("consent", default.consent_ms),
        exemption_ms=record.duration("exemption", default.exemption_ms),
        necessity_ms=record.duration("necessity", default.necessity_ms),
    )


def _vocabulary(top: Record, subject_types: tuple[str, ...], data: _Data) -> Vocabulary:
    field = top.get("authzen")
    if field is None:
        return Vocabulary()
    record = field.record(may=("subject_types", "actions", "resource_types", "data"))
    resource_types = record.entries("resource_types")
    known = None if top["subject_types"].is_refused else subject_types
    vocabulary = Vocabulary(
        subject_types={theirs: _one_of(value, known) for theirs, value in record.entries("subject_types").items()},
        actions={theirs: value.term(Operation) for theirs, value in record.entries("actions").items()},
        resource_types={theirs: _one_of(value, RESOURCE_TYPES) for theirs, value in resource_types.items()},
        data={
            theirs: _meant_data(theirs, value, resource_types, data) for theirs, value in record.entries("data").items()
        },
    )
    own = {"subject_types": subject_types, "actions": tuple(Operation), "resource_types": RESOURCE_TYPES}
    for part, words in own.items():
        for theirs, value in record.entries(part).items():
            if theirs in words and value.text() != theirs:  # our own clients speak these words, and mean them
                value.refuse(f"{theirs[:40]} is a word of our own, and keeps its meaning", "map other words alone")
    return vocabulary


def _meant_data(theirs: str, field: Field, resource_types: Mapping[str, Field], data: _Data) -> tuple[str, ...]:
    """What a gateway's resource type is about. Never of our own types: who speaks our words names the data."""
    if theirs not in resource_types or theirs in RESOURCE_TYPES:
        field.refuse(f"{theirs[:40]} is no resource type of a gateway's here", "name it in resource_types first")
    return tuple(_datum_of(item, data) for item in field.items())


def _datum_of(field: Field, data: _Data) -> str:
    name = field.word()
    if data.lacks(name):
        field.refuse(f"{name} is not in the table of data", "add it there, or correct it")
    return name


def _one_of(field: Field, known: tuple[str, ...] | None) -> str:
    """`known` is None where what it would be could not be read."""
    value = field.word()
    if known is not None and value not in known:
        field.refuse(f"{value} is not known here", f"one of {', '.join(known)}")
    return value


def _clause_of(field: Field) -> dict[Reason, str]:
    """DENY reasons alone: an ALLOW names its purpose's clause."""
    clauses: dict[Reason, str] = {}
    for name, value in field.entries().items():
        if name in Reason.__members__ and Reason[name] in DENYING:
            clauses[Reason[name]] = value.clause()
        else:
            value.refuse(f"{name} is not a reason to deny", f"known: {', '.join(DENYING)}")
    silent = [reason for reason in DENYING if reason not in clauses]
    if silent:
        field.refuse(
            f"no clause is named for {', '.join(silent)}",
            "each decision names its clause: say which one stands behind it",
        )
    return clauses


def _datum(name: str, field: Field) -> Datum:
    record = field.record(may=("dpv", "sensitive", "anonymisable"))
    return Datum(
        name=name,
        dpv=record.text("dpv"),
        sensitive=record.flag("sensitive"),
        anonymisable=record.flag("anonymisable"),
    )


def _purposes(field: Field, data: _Data) -> dict[str, Purpose]:
    purposes = {name: _purpose(name, value, data) for name, value in field.entries().items()}
    if not purposes:
        field.refuse("no purpose is named", "a policy without a purpose allows nothing")
    return purposes


def _purpose(name: str, field: Field, data: _Data) -> Purpose:
    record = field.record(
        needs=("clause", "basis", "data"),
        may=(
            "operations", "separate", "permission", "active", "form", "opt_out", "protects_minors",
            "recipients",
        ),
    )  # fmt: skip
    operations, permission = record.get("operations"), record.get("permission")
    necessary, optional = _data_of(record["data"], data)
    basis = _basis(record["basis"])
    separate = record.flag("separate")
    sensitive = frozenset(datum for datum in necessary + optional if data.is_sensitive(datum))
    return Purpose(
        name=name,
        clause=record["clause"].clause(),
        basis=basis,
        operations=DEFAULT_OPERATIONS if operations is None else operations.terms(Operation),
        necessary=necessary,
        optional=optional,
        separate=separate,
        permission=None if permission is None else permission.word(),
        active=record.flag("active"),
        form=_form(record),
        opt_out=record.flag("opt_out"),
        protects_minors=record.flag("protects_minors"),
        role_of=_roles(record.entries("recipients")),
        covered=frozenset(necessary + optional),
        without_consent=frozenset(necessary) - sensitive if basis is Basis.NECESSITY else frozenset(),
        only_separately=frozenset(necessary + optional) if separate else sensitive,
    )


def _basis(field: Field) -> Basis:
    name = field.text()
    if name not in (Basis.NECESSITY, Basis.CONSENT):
        field.refuse(f"{name[:40]!r} is no basis of a purpose", "one of necessity, consent; exemptions have a list")
        return Basis.CONSENT
    return Basis(name)


def _form(record: Record) -> Form:
    field = record.get("form")
    return Form.IDENTIFIABLE if field is None else field.term(Form)


def _data_of(field: Field, data: _Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
    record = field.record(may=("necessary", "optional"))
    if record.get("necessary") is None and record.get("optional") is None:
        field.refuse("neither necessary nor optional data are named", "write {optional: []} for none")
    for part in ("necessary", "optional"):
        listed = record.get(part)
        for item in () if listed is None else listed.items():
            _datum_of(item, data)
    necessary, optional = record.words("necessary"), record.words("optional")
    both = [datum for datum in optional if datum in necessary]
    if both:
        field.refuse(f"{', '.join(both)} cannot be both necessary and optional")
    return necessary, optional


def _roles(entries: Mapping[str, Field]) -> dict[str, RecipientRole]:
    roles: dict[str, RecipientRole] = {}
    for role, field in entries.items():
        try:
            known = RecipientRole(role)
        except ValueError:
            field.refuse(f"{role} is not a role of recipients", f"one of {', '.join(RecipientRole)}")
            continue
        for item in field.items():
            recipient = item.word()
            if recipient in roles:
                item.refuse(f"{recipient} is named twice", "a recipient has one role in a purpose")
            roles[recipient] = known
    return roles


def _exemption(code: str, field: Field) -> Exemption:
    record = field.record(
        needs=("clause", "title", "operations"),
        may=("leaving", "guardian", "after_closure", "voided_by_objection"),
    )
    leaving = record.get("leaving")
    operations = record["operations"].terms(Operation)
    leaves = [operation for operation in operations if operation in LEAVING]
    if leaves and leaving is None:
        record["operations"].refuse(f"{leaves[0]} leaves, and no clause says so", "name the clause in `leaving`")
    return Exemption(
        code=code,
        clause=record["clause"].clause(),
        leaving=None if leaving is None else leaving.clause(),
        title=record["title"].text(),
        operations=operations,
        guardian=record.flag("guardian", default=True),
        after_closure=record.flag("after_closure"),
        voided_by_objection=record.flag("voided_by_objection"),
    )


def _clause_changes(top: Record) -> dict[str, ClauseChange]:
    changes: dict[str, ClauseChange] = {}
    for clause, field in top.entries("clause_changes").items():
        changes[clause] = field.term(ClauseChange)
    return changes


__all__ = ["InvalidPolicy", "parse_policy"]
