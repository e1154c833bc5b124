"""What the demo shows: the story on stdout, progress on stderr; colours on a terminal only."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from consentry.authzen import EvaluationAnswer
from consentry.policy import Change, Changes, Policy
from consentry.policy.wording import clauses_of
from consentry.terms import Reason
from streams.demo.script import Expected, PolicyFiles, Question, Try
from streams.policies import Publication
from streams.wording import REASON_WORDS, listed, prompt_words

PLAIN_WIDTH = 110
LABEL_WIDTH = 10
QUOTED_CHARACTERS = 130
ENVELOPE = ("type", "subject", "actor", "event_id", "occurred_at", "channel")


class Narrator:
    """Tells what happens. `text` is the policy's wording, whose clauses it quotes."""

    def __init__(self, text: str) -> None:
        self._clauses = clauses_of(text)
        self._began = time.monotonic()
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        self._steps = 0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def progress(self, line: str) -> None:
        self._err.print(f"[dim]{self.seconds:5.1f} s  {escape(line)}[/dim]")

    def waiting(self) -> AbstractContextManager[object]:
        """A sign of life on a terminal, while what `progress` said takes its time."""
        return self._err.status("")

    def heading(self, number: int, title: str, says: str) -> None:
        self._out.print()
        self._out.print(f"[bold]{number}. {escape(title)}[/bold]")
        self._out.print(escape(says))

    def event(self, says: str, fields: Mapping[str, Any], outcome: str, seen: str, wrong: str) -> None:
        self._lines(
            says,
            ("event", f"[bold]{fields['type']}[/bold] of {escape(_acted(fields))}"),
            ("log", escape(outcome)),
            ("subscriber", f"[cyan]{escape(seen)}[/cyan]"),
            *_wrong(wrong),
        )

    def policy(self, files: PolicyFiles, first: Policy) -> None:
        """By which everything is decided, and in what it is not as its file has it."""
        self.say()
        self._lines(files.says, *_files(files, first.id, first.version), _instead(files.instead))

    def published(
        self,
        says: str,
        files: PolicyFiles,
        instead: Mapping[str, str],
        publication: Publication,
        changes: Changes,
    ) -> None:
        self._lines(
            says,
            *_files(files, publication.policy, publication.version),
            _instead(instead),
            ("log", f"at {publication.position} of policy-revisions"),
            *(("", escape(_change(change))) for change in changes.changes),
        )

    def in_force(self, says: str, number: int, text: str) -> None:
        """From now on clauses are quoted from `text`."""
        self._clauses = clauses_of(text)
        self._lines(says, ("policy", f"version {number} is in force"))

    def question(self, question: Question) -> None:
        self._lines("", _question(question))

    def answer(self, says: str, question: Question, answer: EvaluationAnswer, expected: Expected) -> None:
        self._lines(says, _question(question), *self._answer(answer, expected))

    def as_of(self, when: str, answer: EvaluationAnswer, expected: Expected) -> None:
        self._lines(when, *self._answer(answer, expected))

    def _answer(self, answer: EvaluationAnswer, expected: Expected) -> list[tuple[str, str]]:
        found = answer.context
        return [
            ("answer", f"{_verdict(answer.decision, found.reason)}  [dim]{_on(answer)}[/dim]"),
            ("clause", self._quoted(found.clause)),
            *self._consequences(answer),
            *_wrong("" if Expected.of(answer) == expected else f"expected {expected}"),
        ]

    def _consequences(self, answer: EvaluationAnswer) -> list[tuple[str, str]]:
        found = answer.context
        lines = []
        if found.obligations:
            lines.append(("so", f"{escape(listed(word.replace('_', ' ') for word in map(str, found.obligations)))}"))
        if found.prompt.may_ask or found.prompt.ask_after is not None:
            lines.append(("", escape(prompt_words(found.prompt))))
        return lines

    def _quoted(self, clause: str) -> str:
        words = self._clauses.get(clause, "")
        if len(words) > QUOTED_CHARACTERS:
            words = words[:QUOTED_CHARACTERS].rpartition(" ")[0] + " …"
        return f"{escape(clause)}  [italic]“{escape(words)}”[/italic]"

    def say(self, line: str = "", style: str = "") -> None:
        self._out.print(escape(line), style=style)

    def commands(self, tries: tuple[Try, ...]) -> None:
        for each in tries:
            self.say()
            self.say(f"# {each.says}", "dim")
            self._out.print(escape(each.command.rstrip()), soft_wrap=True)  # to be copied: never broken by us

    def shell(self, line: str) -> None:
        self._out.print(escape(line), soft_wrap=True)

    def _lines(self, says: str, *rows: tuple[str, str]) -> None:
        self._out.print()
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2)
        table.add_column(width=LABEL_WIDTH, style="dim")
        table.add_column(overflow="fold")
        for label, text in rows:
            table.add_row("", label, text)
        with self._out.capture() as drawn:
            if says:
                self._out.print(Padding(escape(says), (0, 0, 0, 2)))
            self._out.print(table)
        for line in drawn.get().splitlines():
            self._out.file.write(f"{line.rstrip()}\n")  # what is padded is filled up with spaces
        self._out.file.flush()


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def _verdict(allow: bool, reason: Reason) -> str:
    style = "bold green" if allow else "bold red"
    return f"[{style}]{'ALLOW' if allow else 'DENY'}  {reason}[/{style}]  {escape(REASON_WORDS[reason])}"


def _wrong(what: str) -> list[tuple[str, str]]:
    return [("[red]WRONG[/red]", f"[red]{escape(what)}[/red]")] if what else []


def _question(question: Question) -> tuple[str, str]:
    return ("question", f"may the app {escape(_asked(question))}?")


def _on(answer: EvaluationAnswer) -> str:
    found = answer.context
    kinds = "events" if len(found.evidence) > 1 else "event"
    evidence = f", rests on {kinds} {listed(map(short, found.evidence))}" if found.evidence else ""
    return escape(f"(seen at {found.position}{evidence})")


def short(event_id: str) -> str:
    """Enough of an id to find the event above by."""
    return event_id.partition("-")[0]


def _asked(question: Question) -> str:
    use = {True: ", in use now", False: ", not in use now", None: ""}[question.active]
    return f"{question.operation} {listed(question.data)} of {question.subject} for {question.purpose}{use}"


def _acted(fields: Mapping[str, Any]) -> str:
    """Whose event it is, by whom where it is another, and what is its own."""
    subject, actor = str(fields["subject"]), fields["actor"]
    by = "" if actor["id"] == subject else f" by {actor['role']} {actor['id']}"
    own = "".join(f"  {name}: {_shown(value)}" for name, value in fields.items() if name not in ENVELOPE)
    return f"{subject}{by}{own}"


def _files(files: PolicyFiles, name: str, version: int) -> tuple[tuple[str, str], ...]:
    return (("policy", escape(f"{name} version {version}: {files.document}, in words {files.text}")),)


def _instead(lines: Mapping[str, str]) -> tuple[str, str]:
    return ("but for", escape(listed(f"{name}: {value}" for name, value in lines.items())))


def _change(change: Change) -> str:
    follows = (", asks again" if change.asks_again else "") + (", reduces a right" if change.reduces else "")
    return f"{change.change}{follows}: {change.purpose or 'the whole'}: {change.what} ({change.clause})"


def _shown(value: object) -> str:
    return listed(map(str, value)) if isinstance(value, list) else str(value)
