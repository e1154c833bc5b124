"""Expectation: what must come of it, in words. What does not is an AssertionError that shows the whole answer."""

from typing import Any

import msgspec

from consentry.answers import Answer
from consentry.decision import Prompt
from consentry.terms import Operation, Reason
from consentry.testing.person import Names, Person


class Expectation:
    """Of one person, now."""

    def __init__(self, person: Person) -> None:
        self._person = person

    def may(
        self, operation: Operation | str, data: Names, *, purpose: str, because: Reason | str | None = None, **more: Any
    ) -> Answer:
        """An ALLOW, and if it is said for this reason. `more` are the other fields of a Request."""
        return self._expect("ALLOW", because, operation, data, purpose=purpose, **more)

    def may_not(
        self, operation: Operation | str, data: Names, *, purpose: str, because: Reason | str | None = None, **more: Any
    ) -> Answer:
        """A DENY, and if it is said for this reason."""
        return self._expect("DENY", because, operation, data, purpose=purpose, **more)

    def may_be_asked(self, operation: Operation | str, data: Names, *, purpose: str, **more: Any) -> Prompt:
        prompt = self._answer(operation, data, purpose=purpose, **more).prompt
        if not prompt.may_ask:
            raise AssertionError(f"{self._person.subject} may not be asked, at the earliest at {prompt.ask_after}")
        return prompt

    def may_not_be_asked(self, operation: Operation | str, data: Names, *, purpose: str, **more: Any) -> Prompt:
        prompt = self._answer(operation, data, purpose=purpose, **more).prompt
        if prompt.may_ask:
            raise AssertionError(f"{self._person.subject} may be asked")
        return prompt

    def _answer(self, operation: Operation | str, data: Names, **fields: Any) -> Answer:
        return self._person.answer(self._person.asks(operation, data, **fields))

    def _expect(
        self, wanted: str, because: Reason | str | None, operation: Operation | str, data: Names, **fields: Any
    ) -> Answer:
        answer = self._answer(operation, data, **fields)
        reason = answer.reason if because is None else Reason(because)
        found = "ALLOW" if answer.allow else "DENY"
        if (found, answer.reason) != (wanted, reason):
            expected = wanted if because is None else f"{wanted} {reason}"
            shown = msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
            raise AssertionError(
                f"may {operation} {data} of {self._person.subject}: {found} {answer.reason}, not {expected}\n{shown}"
            )
        return answer
