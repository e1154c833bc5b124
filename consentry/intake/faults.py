"""One fault of an event, and the refusal that many of them make."""

from collections.abc import Sequence

import msgspec

from consentry.errors import InvalidEvent, Problem

_STATUS_ORDER = (400, 403, 409, 422)
"""of several faults the first here says what kind of refusal it is"""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is a JSON pointer into the event: `/actor/id`; "" is the event itself."""

    where: str
    what: str
    remedy: str = ""
    status: int = 422
    code: str = "INVALID_EVENT"

    def within(self, place: str) -> "Fault":
        """The same fault, of an event that stands at `place` in a list."""
        return msgspec.structs.replace(self, where=f"{place}{self.where}")


def refusal(faults: Sequence[Fault]) -> InvalidEvent:
    """The error that names all of `faults`, of which there is at least one."""
    first = min(faults, key=lambda fault: _STATUS_ORDER.index(fault.status))
    problems = [Problem(fault.what, where=fault.where, remedy=fault.remedy) for fault in faults]
    return InvalidEvent(problems, status=first.status, code=first.code)
