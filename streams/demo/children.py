"""Programs of the demo: each a child process with a watchdog, so that none outlives the demo, however that ends."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from consentry.errors import Unavailable
from streams.broker import watchdog
from streams.demo.interruption import Interruption

POLL_S = 0.02
STOP_GRACE_S = 5
LAST_LINES = 15


class Child:
    """A running program. What it prints goes to a file in the demo's directory."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        interruption: Interruption,
    ) -> None:
        self.name = name
        self._interruption = interruption
        self.log_path = directory / f"{name.replace(' ', '-')}.log"
        guarded = [sys.executable, "-I", "-S", watchdog.__file__, str(STOP_GRACE_S), str(directory), *command]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                guarded,
                cwd=directory,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo: it stops its programs in their order
            )

    @property
    def printed(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def require_running(self) -> None:
        """Raises Unavailable with the end of what it printed, once it has ended by itself; Interrupted after Ctrl-C."""
        self._interruption.check()
        code = self._process.poll()
        if code is not None:
            last = "\n".join(self.printed.splitlines()[-LAST_LINES:])
            raise Unavailable(f"it ended by itself (exit {code}):\n{last}", where=self.name)

    def wait_for_line(self, holds: Callable[[str], bool], timeout_s: float) -> str:
        """The first line printed for which it holds. Raises Unavailable when there is none in time, Interrupted."""
        deadline = time.monotonic() + timeout_s
        while True:
            lines = self.printed.splitlines(keepends=True)
            found = next((line.rstrip("\n") for line in lines if line.endswith("\n") and holds(line)), None)
            if found is not None:
                return found
            self.require_running()
            if time.monotonic() > deadline:
                raise Unavailable(f"it did not say what was awaited within {timeout_s:.0f} s", where=self.name)
            time.sleep(POLL_S)

    def order(self, order: bytes) -> None:
        """Tell its watchdog to end it: watchdog.STOP, or watchdog.KILL where nothing is worth a farewell."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended already
            self._process.stdin.write(order)
            self._process.stdin.flush()

    def wait(self) -> None:
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # the order that nobody read
            self._process.stdin.close()


def end_all(children: Sequence[Child], *, gently: bool) -> None:
    """All at once: the slowest alone is waited for."""
    for child in children:
        child.order(watchdog.STOP if gently else watchdog.KILL)
    for child in children:
        child.wait()
