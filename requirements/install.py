"""Sets up .venv for `make`: nothing but a Python is needed. Instant when nothing has changed.

    python requirements/install.py demo|test|bench

Each name is a lock beside this file: everything pinned, every file checked by its hash. pip is used as the
machine has it configured (mirrors, proxies, certificates).
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = ("demo", "test", "bench")  # each holds all of the one before
LAST_LINES = 30
SHOW_EACH_S = 5


def main(name: str) -> int:
    if name not in LOCKS:
        say(f"no lock is named {name}: {', '.join(LOCKS)}")
        return 2
    with one_at_a_time():
        if is_set_up(name):
            return 0
        lock = HERE / f"{name}.lock"
        packages = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
        try:
            create_environment()
            say(f"[2/3] installing {packages} packages into .venv, each checked by its hash")
            pip("--require-hashes", "-r", str(lock))
            say("[3/3] installing Consentry itself")
            pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
        except SetupError as fault:
            say(str(fault))
            return 1
        stamp(name).write_text(fingerprint(name), encoding="utf-8")
    return 0


class SetupError(Exception):
    """What went wrong, and what to do."""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """`make demo` beside `make test` in one clone: the second waits for the first."""
    folder = os.open(HERE, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another make that sets up .venv")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def stamp(name: str) -> Path:
    return VENV / f"installed-{name}"


def fingerprint(name: str) -> str:
    """Changes with the lock, with what we declare, and with the place: an environment cannot be moved."""
    parts = [(HERE / f"{name}.lock").read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_set_up(name: str) -> bool:
    wider = LOCKS[LOCKS.index(name) :]
    stamps = [(other, stamp(other)) for other in wider]
    return works() and any(path.exists() and path.read_text() == fingerprint(other) for other, path in stamps)


def works() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def create_environment() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if works():
        say(f"[1/3] .venv is there (Python {version})")
        return
    say(f"[1/3] creating .venv with Python {version} ({sys.executable})")
    try:
        import ensurepip  # noqa: F401  (only whether it is there)
    except ImportError:
        raise SetupError(
            f"{sys.executable} cannot make environments: it has no ensurepip.\n"
            f"On Debian or Ubuntu: apt install python{version}-venv. "
            "Or name another Python: make demo PYTHON=/path/to/python3.12"
        ) from None
    try:
        venv.create(VENV, with_pip=True, clear=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        raise SetupError(f".venv could not be created: {fault}") from fault


def pip(*arguments: str) -> None:
    """Run pip; count what it does on one line, and show its words only if it fails."""
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    command = [str(PYTHON), "-m", "pip", "install", *options, *arguments]
    lines: list[str] = []
    seen, shown_at, unpacking = 0, time.monotonic(), False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            seen += line.startswith(("Collecting", "Requirement already"))
            if line.startswith("Installing collected"):
                unpacking = True
                say("      all there; unpacking")
            elif not unpacking and time.monotonic() - shown_at > SHOW_EACH_S:
                shown_at = time.monotonic()
                say(f"      {seen} packages so far")
    if process.returncode:
        raise SetupError(
            f"{''.join(lines[-LAST_LINES:])}pip failed (exit {process.returncode}); its last words are above"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
