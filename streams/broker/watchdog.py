"""Runs one command and ends it when its parent is gone, whatever ended the parent.

Started as a script by `node`, alone, with the standard library only (`python -I -S watchdog.py`). Its
standard input is a pipe that the parent holds: a byte on it is an order, its end means that the parent is
dead. So nothing outlives a `kill -9` of the parent; and should the watchdog itself be killed, Linux ends the
command with it.

    watchdog.py GRACE_S DIRECTORY COMMAND...

DIRECTORY, unless empty, is removed when the parent dies (a parent that lives cleans up by itself). The first
line on standard output is the command's process id. The exit code is the command's, as a shell would give it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

STOP, KILL = b"s", b"k"
PARENT_CHECK_S = 0.5
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    grace_s, directory, command = float(arguments[0]), arguments[1], arguments[2:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: child.terminate())
    parent = os.getppid()
    # No thread exists yet, so a function between fork and exec is safe.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=_end_with_watchdog())
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    end = Ending(child, grace_s, directory)
    threading.Thread(target=end.on_orders, daemon=True).start()
    threading.Thread(target=end.on_orphaned, args=(parent,), daemon=True).start()
    code = child.wait()
    if end.orphaned.is_set() and directory:
        shutil.rmtree(directory, ignore_errors=True)
    return code if code >= 0 else 128 - code


class Ending:
    """Ends the child: on an order, or when nobody is left to give one."""

    def __init__(self, child: "subprocess.Popen[bytes]", grace_s: float, directory: str) -> None:
        self.child = child
        self.grace_s = grace_s
        self.directory = directory
        self.orphaned = threading.Event()

    def on_orders(self) -> None:
        while order := os.read(sys.stdin.fileno(), 1):
            self.end(order)
        self.orphan()

    def on_orphaned(self, parent: int) -> None:
        """A forked copy of the parent may still hold the pipe open: its death shows here."""
        while not self.orphaned.wait(PARENT_CHECK_S):
            if os.getppid() != parent:
                self.orphan()

    def orphan(self) -> None:
        self.orphaned.set()
        self.end(KILL if self.directory else STOP)  # what is thrown away need not be closed with care

    def end(self, order: bytes) -> None:
        if order == STOP:
            self.child.terminate()
            self.child.send_signal(signal.SIGCONT)  # a paused process would not see it
            threading.Timer(self.grace_s, self.child.kill).start()
        else:
            self.child.kill()


def _end_with_watchdog() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # timers and readers may still wait: they have nothing left to do
