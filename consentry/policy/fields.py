"""Fields of a YAML document, typed one by one; each knows its name and line, so that a fault can say them.

A document that gathers its faults goes on behind each of them with a value that stands for what could not be read, so
that one fault does not hide the next. Whoever reads it so must use none of its values if there was a fault.

Values are read from the plain nodes: YAML's own guesses (`NO` is false, `1:30` is ninety) decide nothing.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import yaml

from consentry.errors import InvalidPolicy

MAX_DOCUMENT_CHARACTERS = 1_000_000
MAX_DEPTH = 12
MAX_TEXT = 512
MAX_FAULTS = 100
"""told at once"""

Term = TypeVar("Term", bound=StrEnum)

_TEXT_TAG = "tag:yaml.org,2002:str"
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.~-]{0,126}[A-Za-z0-9_])?", re.ASCII)
_CLAUSE = re.compile(r"[A-Za-z0-9]{1,8}(?:[.-][A-Za-z0-9]{1,8}){0,8}", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W|(?=.)(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9})S)?)?)",
    re.ASCII,
)
_LINE = re.compile(r"line (\d+)")
_UNIT_MS = {"weeks": 604_800_000, "days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def root_of(document: str, faults: list[InvalidPolicy] | None = None) -> "Field":
    """The document as one field, whose faults are gathered in `faults`, or else raised one by one.

    Raises InvalidPolicy when it is not one plain YAML document.
    """
    if len(document) > MAX_DOCUMENT_CHARACTERS:
        raise InvalidPolicy(
            f"the document has {len(document)} characters", remedy=f"{MAX_DOCUMENT_CHARACTERS} at the most"
        )
    try:
        node = yaml.compose(document, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as fault:
        raise InvalidPolicy(
            f"not YAML: {fault.problem or fault.context}",
            where=_line(fault.problem_mark or fault.context_mark),
        ) from fault
    except yaml.YAMLError as fault:
        raise InvalidPolicy(f"not YAML: {fault}") from fault
    if node is None:
        raise InvalidPolicy("the document is empty")
    return Field(node, "", faults)


def raise_all(faults: list[InvalidPolicy]) -> None:
    """Raises InvalidPolicy where any was gathered: the first, with the others."""
    if faults:
        first, *others = faults
        raise InvalidPolicy(first.what, where=first.where, remedy=first.remedy, others=others)


def line_number(fault: InvalidPolicy) -> int:
    """Where its line stands; behind all lines where it names none."""
    found = _LINE.match(fault.where)
    return int(found[1]) if found else MAX_DOCUMENT_CHARACTERS


def _line(mark: "yaml.error.Mark | yaml._yaml.Mark | None") -> str:
    return f"line {mark.line + 1}" if mark else ""


class _PlainLoader(yaml.SafeLoader):
    """Takes no aliases and is bounded in depth: so a document is as large as it looks."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # its stubs leave it out
        if isinstance(event, yaml.AliasEvent):
            raise InvalidPolicy(
                "anchors and aliases are not taken", where=_line(event.start_mark), remedy="write the value out"
            )
        if self.depth == MAX_DEPTH:
            raise InvalidPolicy(f"nested deeper than {MAX_DEPTH}", where=_line(event.start_mark))
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class Field:
    """A value of the document, its name and line. Each method gives it typed, or refuses it."""

    __slots__ = ("faults", "node", "path")

    def __init__(self, node: yaml.Node, path: str, faults: list[InvalidPolicy] | None = None) -> None:
        self.node = node
        self.path = path
        self.faults = faults

    @classmethod
    def absent(cls, path: str) -> "Field":
        """What stands for a field that is missing; it was said to be, so what else is wrong with it is not told."""
        return cls(yaml.ScalarNode(_TEXT_TAG, ""), path, [])

    @property
    def where(self) -> str:
        line = _line(self.node.start_mark)
        return f"{line}, {self.path}" if self.path else line

    @property
    def is_refused(self) -> bool:
        """Whether it was refused itself: then what it holds is not known."""
        return self.faults is not None and any(fault.where == self.where for fault in self.faults)

    def refuse(self, what: str, remedy: str = "") -> None:
        """Say what is wrong with it, where nothing is said of it yet. Raises InvalidPolicy unless it is gathered."""
        fault = InvalidPolicy(what, where=self.where, remedy=remedy)
        if self.faults is None:
            raise fault
        if self.is_refused or len(self.faults) > MAX_FAULTS:
            return
        if len(self.faults) == MAX_FAULTS:
            fault = InvalidPolicy("there are more faults than are told at once", remedy="mend these first")
        self.faults.append(fault)

    def text(self) -> str:
        value = self._scalar()
        if self.node.tag != _TEXT_TAG:
            self.refuse(f"{value!r} is not text to YAML", f'put it in quotes: "{value}"')
        if not value.strip() or len(value) > MAX_TEXT:
            self.refuse("the text is empty or too long", f"1 to {MAX_TEXT} characters")
        return value

    def word(self) -> str:
        value = self.text()
        if not _WORD.fullmatch(value):
            self.refuse(f"{value[:40]!r} is not a name", "letters, digits and . _ ~ -, 128 at the most")
            return ""
        return value

    def clause(self) -> str:
        value = self.text()
        if not _CLAUSE.fullmatch(value):
            self.refuse(f"{value[:40]!r} is not a clause", "a clause reads like 1.2.a or P-1")
        return value

    def whole(self, low: int, high: int) -> int:
        value = self._plain()
        if not _WHOLE.fullmatch(value) or not low <= int(value) <= high:
            self.refuse(f"{value[:40]!r} is not a whole number from {low} to {high}")
            return low
        return int(value)

    def flag(self) -> bool:
        value = self._plain()
        if value not in {"true", "false"}:
            self.refuse(f"{value[:40]!r} is neither true nor false")
        return value == "true"

    def instant(self) -> int:
        """Ms since the epoch, UTC."""
        value = self._scalar()
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or moment.timestamp() < 0:
            self.refuse(f"{value[:40]!r} is not a time with its zone", "a time reads like 2026-01-08T00:00:00Z")
            return 0
        return round(moment.timestamp() * 1_000)

    def duration(self) -> int:
        """Ms. Years and months are refused, for they have no fixed length."""
        value = self._scalar()
        match = _DURATION.fullmatch(value)
        if match is None:
            self.refuse(f"{value[:40]!r} is not a duration", "ISO 8601 in weeks, days, hours, minutes, seconds: PT48H")
            return 0
        return sum(_UNIT_MS[unit] * int(count) for unit, count in match.groupdict().items() if count)

    def term(self, kind: type[Term]) -> Term:
        value = self.text()
        try:
            return kind(value)
        except ValueError:
            self.refuse(f"{value[:40]!r} is not known here", f"one of {', '.join(kind)}")
            return next(iter(kind))

    def items(self) -> Iterator["Field"]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.refuse("a list belongs here", "write [one, two]")
            return
        for place, node in enumerate(self.node.value):
            yield Field(node, f"{self.path}[{place}]", self.faults)

    def words(self) -> tuple[str, ...]:
        """A list of names, none twice."""
        values: list[str] = []
        for item in self.items():
            value = item.word()
            if value and value in values:
                item.refuse(f"{value} is named twice")
            values.append(value)
        return tuple(values)

    def terms(self, kind: type[Term]) -> tuple[Term, ...]:
        """A list of terms, none twice, at least one."""
        values: list[Term] = []
        for item in self.items():
            value = item.term(kind)
            if value in values:
                item.refuse(f"{value} is named twice")
            values.append(value)
        if not values:
            self.refuse("the list is empty", f"name one or more of {', '.join(kind)}")
        return tuple(values)

    def entries(self) -> dict[str, "Field"]:
        """A mapping whose keys are the document's own."""
        if not isinstance(self.node, yaml.MappingNode):
            self.refuse("a mapping belongs here", "write {name: value}")
            return {}
        found: dict[str, Field] = {}
        for key_node, value_node in self.node.value:
            key = Field(key_node, self.path, self.faults)
            name = key.word()
            if name in found:
                key.refuse(f"{name} stands here twice")
            elif name:
                found[name] = Field(value_node, self._path_of(name), self.faults)
        return found

    def entry(self, name: str) -> "Field":
        """One value of a mapping; where it has none of that name, the place of the mapping, and the name."""
        return self.entries().get(name) or self._place_of(name)

    def _path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _place_of(self, name: str) -> "Field":
        return Field(self.node, self._path_of(name), self.faults)

    def record(self, *, needs: tuple[str, ...] = (), may: tuple[str, ...] = ()) -> "Record":
        """A mapping whose keys are given."""
        found = self.entries()
        for name, value in found.items():
            if name not in needs and name not in may:
                value.refuse("this field is not known here", f"known: {', '.join(sorted(needs + may))}")
        for name in needs:
            if name not in found:
                if isinstance(self.node, yaml.MappingNode):
                    self._place_of(name).refuse(f"{name} is missing")
                found[name] = Field.absent(self._path_of(name))
        return Record(found)

    def _scalar(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            self.refuse("a single value belongs here")
            return ""
        return str(self.node.value)

    def _plain(self) -> str:
        """A value without quotes."""
        value = self._scalar()
        if isinstance(self.node, yaml.ScalarNode) and self.node.style is not None:
            self.refuse(f"{value[:40]!r} is in quotes", "write it without")
        return value


class Record:
    """The fields of a mapping whose keys are known: `record["name"]`, or a default where it may stay out."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def get(self, name: str) -> Field | None:
        return self._fields.get(name)

    def flag(self, name: str, default: bool = False) -> bool:
        field = self._fields.get(name)
        return default if field is None else field.flag()

    def duration(self, name: str, default: int) -> int:
        field = self._fields.get(name)
        return default if field is None else field.duration()

    def text(self, name: str) -> str:
        field = self._fields.get(name)
        return "" if field is None else field.text()

    def words(self, name: str) -> tuple[str, ...]:
        field = self._fields.get(name)
        return () if field is None else field.words()

    def entries(self, name: str) -> Mapping[str, Field]:
        field = self._fields.get(name)
        return {} if field is None else field.entries()
