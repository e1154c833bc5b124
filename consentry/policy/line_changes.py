"""How a purpose's line in one version of a policy differs from the line in the next. Pure."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

import msgspec

from consentry.policy.change import (
    ASKS,
    EDITORIAL,
    FREES,
    NARROWS,
    REDUCES,
    Change,
    ChangeClass,
    Found,
    Reduces,
    Weight,
)
from consentry.policy.document import LEAVING, ClauseChange, Datum, Purpose, RecipientRole
from consentry.terms import Basis, Cell, Form, Operation

_FLAGS = (
    # field, when it is set, when it is taken away
    ("separate", NARROWS, REDUCES),
    ("opt_out", NARROWS, REDUCES),
    ("active", NARROWS, FREES),
    ("protects_minors", REDUCES, NARROWS),
)
_DATUM_FLAGS = (
    # become sensitive it is not what was agreed to, so it asks again although it demands more
    ("sensitive", ASKS, REDUCES),
    ("anonymisable", REDUCES, NARROWS),
)
_PROTECTION = {Form.IDENTIFIABLE: 0, Form.DEIDENTIFIED: 1, Form.ANONYMISED: 2}
_WEIGHT_OF_CLAUSE = {ClauseChange.EDITORIAL: EDITORIAL, ClauseChange.MATERIAL: ASKS}
_NO_CELLS: frozenset[Cell] = frozenset()


class _Difference(NamedTuple):
    field: str
    weight: Weight
    what: str


class _Part(NamedTuple):
    """Cells of a line, as lists of what they are made of."""

    operations: tuple[Operation, ...]
    data: tuple[str, ...]
    recipients: tuple[str, ...]

    def holds(self, cell: Cell) -> bool:
        return (
            cell.operation in self.operations
            and cell.data in self.data
            and cell.recipient in (self.recipients or ("",))
        )


def cells_of(line: Purpose) -> frozenset[Cell]:
    """Every cell that the line names; where it names recipients, each cell has one."""
    parts = product(line.operations, line.data, line.recipients or ("",))
    return frozenset(Cell(line.name, *part) for part in parts)


def line_new(line: Purpose, data: Mapping[str, Datum]) -> Found:
    whole = _Part(line.operations, line.data, line.recipients)
    return _new(line, whole, cells_of(line), data, "", "the purpose is new")


def line_gone(line: Purpose) -> Found:
    return _gone(line, _Part(line.operations, line.data, line.recipients), "", "the purpose is gone")


def line_changes(
    old: Purpose, new: Purpose, old_data: Mapping[str, Datum], new_data: Mapping[str, Datum]
) -> Iterator[Found]:
    """Every difference of the two lines, and of the data that both name."""
    before, after = cells_of(old), cells_of(new)
    shared = before & after
    for field, what, part in _only_in(old, new):
        yield _gone(old, part, field, f"{what} is gone")
    for field, what, part in _only_in(new, old):
        yield _new(new, part, after - before, new_data, field, f"{what} is new")
    for difference in _demands(old, new):
        yield _found(new, shared, difference)
    for recipient in new.recipients:
        for difference in _role_changes(recipient, old, new):
            yield _found(new, _where(shared, recipient=recipient), difference)
    for datum in new.data:
        if datum in old.covered:
            for difference in (*_need_changes(datum, old, new), *datum_changes(old_data[datum], new_data[datum])):
                yield _found(new, _where(shared, datum=datum), difference)


def clause_change(line: Purpose, old: Purpose | None, clause: str, said: ClauseChange) -> Found:
    """The wording of the line's clause is other, and the revision says in which way."""
    shared = _NO_CELLS if old is None else cells_of(line) & cells_of(old)
    what = f"the wording of clause {clause} is other"
    return _found(line, shared, _Difference(f"clause_changes.{clause}", _WEIGHT_OF_CLAUSE[said], what))


def datum_changes(old: Datum, new: Datum) -> Iterator[_Difference]:
    field = f"data.{new.name}"
    for name, when_set, when_taken in _DATUM_FLAGS:
        if getattr(old, name) != getattr(new, name):
            weight, word = (when_set, "now") if getattr(new, name) else (when_taken, "no longer")
            yield _Difference(f"{field}.{name}", weight, f"{new.name} is {word} {name}")
    if old.dpv != new.dpv:
        what = f"{new.name} means {new.dpv or 'nothing said'}, before {old.dpv or 'nothing said'}"
        yield _Difference(f"{field}.dpv", ASKS, what)


def _demands(old: Purpose, new: Purpose) -> Iterator[_Difference]:
    """What the line says of all its cells."""
    field = f"purposes.{new.name}"
    if old.clause != new.clause:
        yield _Difference(f"{field}.clause", EDITORIAL, f"it stands under clause {new.clause}, before {old.clause}")
    if old.basis is not new.basis:
        weight = FREES if new.basis is Basis.NECESSITY else NARROWS
        yield _Difference(f"{field}.basis", weight, f"it rests on {new.basis}, before on {old.basis}")
    for name, when_set, when_taken in _FLAGS:
        if getattr(old, name) != getattr(new, name):
            weight, word = (when_set, "now") if getattr(new, name) else (when_taken, "no longer")
            yield _Difference(f"{field}.{name}", weight, f"{name} is {word} said of it")
    if old.permission != new.permission:
        # another permission is no further demand: whoever had the former one off is no longer heeded
        weight = NARROWS if old.permission is None else FREES
        what = f"it asks for the permission {new.permission or 'of nothing'}, before {old.permission or 'of nothing'}"
        yield _Difference(f"{field}.permission", weight, what)
    if old.form is not new.form:
        weight = NARROWS if _PROTECTION[new.form] > _PROTECTION[old.form] else FREES
        yield _Difference(f"{field}.form", weight, f"its data may be {new.form}, before {old.form}")


def _need_changes(datum: str, old: Purpose, new: Purpose) -> Iterator[_Difference]:
    field = f"purposes.{new.name}.data"
    if datum in old.optional and datum in new.necessary:
        weight = REDUCES if new.basis is Basis.NECESSITY else ASKS
        yield _Difference(field, weight, f"{datum} is necessary, before optional")
    elif datum in old.necessary and datum in new.optional:
        yield _Difference(field, NARROWS, f"{datum} is optional, before necessary")


def _role_changes(recipient: str, old: Purpose, new: Purpose) -> Iterator[_Difference]:
    role = new.role_of[recipient]
    before = old.role_of.get(recipient, role)
    if before is role:
        return
    weight = ASKS
    if new.basis is Basis.NECESSITY and role is RecipientRole.ENTRUSTED:
        weight = REDUCES
    elif new.basis is Basis.NECESSITY and before is RecipientRole.ENTRUSTED:
        weight = NARROWS  # from now on it needs consent
    what = f"{recipient} is {_said(role)}, before {_said(before)}"
    yield _Difference(f"purposes.{new.name}.recipients", weight, what)


def _only_in(line: Purpose, other: Purpose) -> Iterator[tuple[str, str, _Part]]:
    """What `line` names and `other` does not; each with the cells it brings."""
    for operation in line.operations:
        if operation not in other.operations:
            yield "operations", f"the operation {operation}", _Part((operation,), line.data, line.recipients)
    for datum in line.data:
        if datum not in other.covered:
            yield "data", f"the data category {datum}", _Part(line.operations, (datum,), line.recipients)
    for recipient, role in line.role_of.items():
        if recipient not in other.role_of:
            what = f"the recipient {recipient} ({_said(role)})"
            yield "recipients", what, _Part(line.operations, line.data, (recipient,))
    if not line.role_of and other.role_of:
        yield "recipients", "processing without a recipient", _Part(line.operations, line.data, ())


def _new(line: Purpose, part: _Part, fresh: frozenset[Cell], data: Mapping[str, Datum], field: str, what: str) -> Found:
    """Cells that were not there: nobody agreed to them under the former version.

    Made anonymous, data are allowed without any act of the person, and so are cells that come with them.
    """
    cells = frozenset(cell for cell in fresh if part.holds(cell))
    anonymous = any(data[cell.data].anonymisable and cell.operation is not Operation.COLLECT for cell in cells)
    return Found(_change(line, part, REDUCES if anonymous else FREES, cells, _path(line, field), what), cells)


def _gone(line: Purpose, part: _Part, field: str, what: str) -> Found:
    return Found(_change(line, part, NARROWS, _NO_CELLS, _path(line, field), what))


def _found(line: Purpose, cells: frozenset[Cell], difference: _Difference) -> Found:
    """A difference of cells that were there before."""
    part = _Part(
        operations=tuple(name for name in line.operations if any(cell.operation is name for cell in cells)),
        data=tuple(name for name in line.data if any(cell.data == name for cell in cells)),
        recipients=tuple(name for name in line.recipients if any(cell.recipient == name for cell in cells)),
    )
    field, weight, what = difference
    change = _change(line, part, weight, cells, field, what)
    if weight.change is not ChangeClass.MATERIAL:
        return Found(change)
    # What necessity allows was never asked for, and is not now.
    asks = any(not _allowed_by_necessity(line, cell) for cell in cells)
    return Found(msgspec.structs.replace(change, asks_again=asks), cells)


def _change(line: Purpose, part: _Part, weight: Weight, cells: frozenset[Cell], field: str, what: str) -> Change:
    reduces = weight.reduces is Reduces.ALWAYS or (
        weight.reduces is Reduces.WHERE_NECESSARY and any(_allowed_by_necessity(line, cell) for cell in cells)
    )
    return Change(line.name, *part, weight.change, reduces, line.clause, what, field)


def _allowed_by_necessity(line: Purpose, cell: Cell) -> bool:
    if cell.data not in line.without_consent:
        return False
    if not cell.recipient:
        return cell.operation not in LEAVING
    return line.role_of[cell.recipient] is RecipientRole.ENTRUSTED


def _where(cells: frozenset[Cell], *, datum: str | None = None, recipient: str | None = None) -> frozenset[Cell]:
    return frozenset(
        cell
        for cell in cells
        if (datum is None or cell.data == datum) and (recipient is None or cell.recipient == recipient)
    )


def _path(line: Purpose, field: str) -> str:
    return f"purposes.{line.name}.{field}" if field else f"purposes.{line.name}"


def _said(role: RecipientRole) -> str:
    return role.replace("_", " ")
