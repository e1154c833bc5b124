"""One Kafka process of ours, with its watchdog."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from consentry.errors import Unavailable
from streams.broker import watchdog

START_TIMEOUT_S = 120
STOP_GRACE_S = 15
POLL_S = 0.02
FAULT_LINES, LAST_LINES = 25, 10
FAULT = re.compile(r" (ERROR|FATAL) |Exception")
STARTED = b"Kafka Server started"
PORT_TAKEN = b"Address already in use"
# One compiler, one collector thread: up in half the time, and enough for a broker that few clients use.
FAST_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class PortTaken(Unavailable):
    """Somebody took the port between our choice and the start: choose again."""


@dataclass(frozen=True)
class Java:
    """How to start a Java program of Kafka's."""

    executable: Path
    class_path: tuple[Path, ...]
    options: tuple[str, ...]

    def command(self, main_class: str, *arguments: str) -> list[str]:
        jars = os.pathsep.join(map(str, self.class_path))
        logging = (
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        )
        return [str(self.executable), *self.options, *logging, "-cp", jars, main_class, *arguments]


def excerpt_of(lines: list[str]) -> str:
    """The first fault and what follows it, and the end; without a fault the end alone."""
    first = next((number for number, line in enumerate(lines) if FAULT.search(line)), None)
    if first is None:
        return "\n".join(lines[-(FAULT_LINES + LAST_LINES) :])
    last = max(first + FAULT_LINES, len(lines) - LAST_LINES)
    return "\n".join([*lines[first : first + FAULT_LINES], *["..."][: last < len(lines)], *lines[last:]])


class Node:
    """A broker (and controller) process: format, start, stop, kill, pause. Not thread-safe."""

    def __init__(self, java: Java, directory: Path, properties: str, *, removed_with_us: Path | None) -> None:
        self.java = java
        self.directory = directory
        self.log_path = directory / "server.log"
        self.properties_path = directory / "server.properties"
        self.removed_with_us = removed_with_us
        directory.mkdir(parents=True, exist_ok=True)
        self.properties_path.write_text(properties, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._log_from = 0

    @property
    def pid(self) -> int:
        """The broker's own process id, not its watchdog's; 0 while it is not running."""
        return self._pid if self.running else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def format(self, cluster_id: str) -> "subprocess.Popen[bytes]":
        """Begin to make the directory a Kafka one, which `formatted` waits for; one that is stays so."""
        arguments = ("format", "--ignore-formatted", "-t", cluster_id, "-c", str(self.properties_path))
        command = self.java.command("kafka.tools.StorageTool", *arguments)
        with self.log_path.open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def formatted(self, tool: "subprocess.Popen[bytes]") -> None:
        """Wait for `format`. Raises Unavailable with its output if it failed."""
        if code := tool.wait(START_TIMEOUT_S):
            raise self._fault(f"the data directory could not be formatted (exit {code})")

    def start(self) -> None:
        """Start the process; it is of use after `wait_until_started`."""
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        script = [
            sys.executable,
            "-I",
            "-S",
            watchdog.__file__,
            str(STOP_GRACE_S),
            str(self.removed_with_us or ""),
        ]
        command = [*script, *self.java.command("kafka.Kafka", str(self.properties_path))]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we stop it, after those that use it
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise self._fault("it could not be started")
        self._pid = int(line)

    def wait_until_started(self) -> None:
        """Until the broker is registered and serves. Raises PortTaken, or Unavailable with its log's end."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while STARTED not in self._log_since_start():
            if not self.running:
                if PORT_TAKEN in self._log_since_start():
                    raise PortTaken("a port is taken", where=str(self.properties_path), remedy="name another")
                raise self._fault(f"it ended while it started (exit {self.exit_code()})")
            if time.monotonic() > deadline:
                raise self._fault(f"it did not start within {START_TIMEOUT_S} s")
            time.sleep(POLL_S)

    def exit_code(self) -> int | None:
        """What the process ended with, as a shell would give it; None while it runs."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """End it in order; killed after a grace."""
        self._end(watchdog.STOP)

    def kill(self) -> None:
        """`kill -9`: no farewell, as in a power cut of its machine (its page cache survives)."""
        self._end(watchdog.KILL)

    def pause(self) -> None:
        """SIGSTOP: alive, silent, holding its sockets."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        os.kill(self._pid, signal.SIGCONT)

    def log_excerpt(self) -> str:
        """Of what it printed since it was started: the first fault, which may lie far up, and the end."""
        return excerpt_of(self._log_since_start().decode("utf-8", errors="replace").splitlines())

    def _log_since_start(self) -> bytes:
        with self.log_path.open("rb") as log:
            log.seek(self._log_from)
            return log.read()

    def _end(self, order: bytes) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended already
            process.stdin.write(order)
            process.stdin.flush()
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):  # the order that nobody read
            process.stdin.close()
        self._process = None

    def _fault(self, what: str) -> Unavailable:
        return Unavailable(
            f"{what}. From {self.log_path}:\n{self.log_excerpt()}\n",
            where=f"local Kafka in {self.directory}",
            remedy="or set CONSENTRY_BOOTSTRAP_SERVERS to a Kafka that runs",
        )
