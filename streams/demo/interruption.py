"""Ctrl-C, and a request to end: heeded once, at any moment, and never in the midst of cleaning up."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The person wants it to end.

    A class of its own: once a plain KeyboardInterrupt has passed through `exec` of a text, which is how dataclasses
    are made while some library is imported, `python -m` ends by SIGINT, whatever exit code is asked for.
    """


class Interruption:
    """Whether a signal asked for the end. The first one counts, those that follow are ignored.

    It is raised where the program stands. Python loses what is raised in a finalizer, and a library may swallow it:
    so `check` raises it again, and whoever takes steps or waits calls that. For the main thread.
    """

    def __init__(self) -> None:
        self.happened = False
        self.deaf = False
        """the first signal came: more of them change nothing"""
        self._held = False
        self._in_loop = False
        self._task: asyncio.Task[Any] | None = None

    def check(self) -> None:
        """Raises Interrupted where it happened, unless it is held."""
        if self.happened and not self._held:
            raise Interrupted

    def hold(self) -> None:
        """From now on it is only remembered."""
        self._held = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """In this block it is only remembered; Interrupted is raised at its end."""
        former, self._held = self._held, True
        try:
            yield
        finally:
            self._held = former
        self.check()

    def forget(self) -> None:
        """It was what was waited for."""
        self.happened = False

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """As asyncio.run; a signal cancels `work`, which cleans up behind itself. Raises Interrupted then."""

        async def cancellable() -> Result:
            self._task = asyncio.current_task()
            if self.happened:
                work.close()
                raise asyncio.CancelledError
            return await work

        self._in_loop = not self._held
        try:
            result = asyncio.run(cancellable())
        except asyncio.CancelledError:
            self.check()
            raise
        finally:
            self._in_loop, self._task = False, None
        self.check()
        return result

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the signals."""
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        self.happened = self.deaf = True
        if self._held:
            return
        if not self._in_loop:
            raise Interrupted
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Raises Interrupted at the end of the block where a signal came in it that was only remembered."""
    interruption = Interruption()
    show = sys.unraisablehook

    def show_others(lost: "sys.UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, Interrupted):  # that one is raised again
            show(lost)

    sys.unraisablehook = show_others
    former = {number: signal.signal(number, interruption.interrupt) for number in ENDINGS}
    try:
        yield interruption
        interruption.hold()
    finally:
        sys.unraisablehook = show
        if not interruption.deaf:  # else the process is about to end: more signals must not change how
            for number, handler in former.items():
                signal.signal(number, handler)
    if interruption.happened:
        raise Interrupted


class CleanUp(ExitStack):
    """What has to be cleaned up; signals do not disturb it."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self._interruption = interruption

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._interruption.hold()
        return bool(super().__exit__(kind, fault, trace))
