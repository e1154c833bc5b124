"""The wording of a policy, clause by clause: its numbering is found in the text itself. Pure.

A clause is `3.1.2` (a numbered heading or paragraph), `3.1.2.a` (a lettered paragraph below one) or
`P-1` (an item of the first list before the first heading). What has no number belongs to the clause
before it; before any clause, to `P`. Each word of the text is in exactly one clause, so no change of
wording goes unseen. Texts in the wild are not tidy: a letter may stand inside a line, and a heading may
be missing.
"""

import hashlib
import re
from collections.abc import Iterator

import msgspec

from consentry.policy.document import Policy
from consentry.policy.fields import Field, root_of

PREAMBLE = "P"
_BULLET = re.compile(r"(?:[•●▪◦·*–-]|l(?=\u00a0))\s+")
_HEADING = re.compile(r"(\d{1,2}(?:\.\d{1,2})+\.?|\d{1,2}\.)\s+(?=\S)")
_LETTER = re.compile(r"([a-z])\.\s+(?=\S)")
_LETTER_INSIDE = re.compile(r"(?<=\s)([a-z])\.\s+(?=[A-Z])")


def clauses_of(text: str) -> dict[str, str]:
    """Clause -> its wording, in the order of the text, with runs of white space made one space."""
    place = _Place()
    wording: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.strip():
            for clause, part in place.parts_of(line.strip()):
                wording.setdefault(clause, []).append(" ".join(part.split()))
    return {clause: " ".join(parts) for clause, parts in wording.items()}


def clause_hashes(text: str) -> dict[str, str]:
    """Clause -> SHA-256 of its wording, hex. White space alone changes none."""
    return {clause: hash_of(wording) for clause, wording in clauses_of(text).items()}


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def missing_clauses(policy: Policy, text: str) -> tuple[str, ...]:
    """Clauses that the document names and the text does not show: a warning only, for texts lack headings."""
    return tuple(sorted(policy.clauses - clauses_of(text).keys()))


class UnfoundClause(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that the document names and the text does not show."""

    clause: str
    where: str
    """line and field of the document"""


def unfound_clauses(document: str, text: str) -> tuple[UnfoundClause, ...]:
    """Each place where a valid document names a clause that `missing_clauses` tells, in its order."""
    shown = clauses_of(text).keys()
    return tuple(
        UnfoundClause(clause=clause, where=place.where)
        for place in _places_of_clauses(root_of(document))
        if (clause := place.clause()) not in shown
    )


def _places_of_clauses(root: Field) -> Iterator[Field]:
    top = root.entries()
    yield from top["clause_of"].entries().values()
    for table in ("purposes", "exemptions"):
        for line in top[table].entries().values() if table in top else ():
            named = line.entries()
            yield from (named[name] for name in ("clause", "leaving") if name in named)


class _Place:
    """Where in the numbering the reader is."""

    def __init__(self) -> None:
        self.number: tuple[int, ...] = ()
        self.letter = ""
        self.bullets = 0
        self.bullets_ended = False

    def parts_of(self, line: str) -> list[tuple[str, str]]:
        """The clauses that a line holds, each with its words but without the mark that opens it."""
        if not self.number and (bullet := _BULLET.match(line)) and not self.bullets_ended:
            self.bullets += 1
            return [(f"{PREAMBLE}-{self.bullets}", line[bullet.end() :])]
        if (heading := _HEADING.match(line)) and self._opens(heading.group(1)):
            line = line[heading.end() :]
        elif not self.number:
            self.bullets_ended = self.bullets > 0
            return [(PREAMBLE, line)]
        elif (letter := _LETTER.match(line)) and letter.group(1) == self._next_letter():
            self.letter = letter.group(1)
            line = line[letter.end() :]
        return self._split(line)

    def _opens(self, number: str) -> bool:
        found = tuple(int(part) for part in number.rstrip(".").split("."))
        if found <= self.number:
            return False  # a number inside the text, not the next heading
        self.number, self.letter = found, ""
        return True

    def _next_letter(self) -> str:
        return chr(ord(self.letter) + 1) if self.letter else "a"

    def _split(self, line: str) -> list[tuple[str, str]]:
        parts = []
        start = 0
        for inside in _LETTER_INSIDE.finditer(line):
            if self.letter and inside.group(1) == self._next_letter():
                parts.append((self._clause(), line[start : inside.start()]))
                self.letter, start = inside.group(1), inside.end()
        parts.append((self._clause(), line[start:]))
        return parts

    def _clause(self) -> str:
        number = ".".join(str(part) for part in self.number)
        return f"{number}.{self.letter}" if self.letter else number
