"""Programs under test: each a process of its own, which says when it began and how much processor time it took."""

import asyncio
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.cluster import TooSlow
from consentry.settings import PREFIX, Settings

STOP_S = 30.0
POLL_S = 0.02
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program under test ended, or did not say what it had to say."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A line on a child's standard output."""

    event: str
    at: int = 0
    """ms since the epoch"""
    count: int = 0
    seconds: float = 0.0
    bytes: int = 0
    peak_bytes: int = 0
    text: str = ""


_decode = msgspec.json.Decoder(Said).decode
_encode = msgspec.json.Encoder().encode


def say(said: Said) -> None:
    """In a child: tell the parent."""
    sys.stdout.buffer.write(_encode(said) + b"\n")
    sys.stdout.buffer.flush()


def end_with_parent() -> None:
    """In a child: its standard input ends when the parent does, however that ends."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables that a child reads."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    defaults = Settings()
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(defaults, field.name):
            kept[PREFIX + field.name.upper()] = str(value)
    return kept


class Child:
    """`python -m ...` with its standard error in a file, which is shown when something is wrong."""

    def __init__(self, settings: Settings, *command: str) -> None:
        self._name = command[0]
        self._log = tempfile.NamedTemporaryFile(prefix="consentry-bench-", suffix=".log")  # noqa: SIM115  (open as long as the child)
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._said: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put(None)

    async def wait_for(self, event: str, timeout_s: float) -> Said:
        """What the child says of `event`. Raises Failed when it ends before, TooSlow when the time is over."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                line = self._said.get_nowait()
            except queue.Empty:
                await asyncio.sleep(POLL_S)
                continue
            if line is None:
                raise Failed(f"{self._name} ended with {self._process.wait()}\n{self.log_end()}")
            if line.startswith(b"{"):
                said = _decode(line)
                if said.event == event:
                    return said
        raise TooSlow(f"{self._name} did not say {event!r} in {timeout_s:.0f} s\n{self.log_end()}")

    def log_end(self) -> str:
        return Path(self._log.name).read_text(errors="replace")[-4_000:]

    def require_alive(self) -> None:
        if self._process.poll() is not None:
            raise Failed(f"{self._name} ended with {self._process.returncode}\n{self.log_end()}")

    def processor_seconds(self) -> float | None:
        """User and system time so far; None where there is no /proc."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_bytes(self) -> int | None:
        """The most memory it had resident; None where there is no /proc."""
        return peak_bytes_of(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def peak_bytes_of(pid: int | str) -> int | None:
    return _memory_of(pid, "VmHWM:")


def resident_bytes() -> int:
    """Of this process; 0 where there is no /proc."""
    return _memory_of("self", "VmRSS:") or 0


def anonymous_bytes() -> int:
    """Of this process, without the files that it maps; 0 where there is no /proc."""
    return _memory_of("self", "RssAnon:") or 0


def _memory_of(pid: int | str, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
