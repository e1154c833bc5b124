"""Ctrl-C in a program of its own, at moments that Python or a library makes something else of."""

import subprocess
import sys
from pathlib import Path

import pytest

FRAME = """
import asyncio, os, signal, sys, time
from streams.demo.interruption import CleanUp, interruptible

def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)

def play(interruption):
{play}

try:
    with interruptible() as interruption, CleanUp(interruption) as exits:
        exits.callback(print, "cleaned up")
        play(interruption)
        print("played to its end")
except KeyboardInterrupt:
    ctrl_c()  # by somebody impatient
    sys.exit(130)
"""


def after(play: str, directory: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m` of a program that plays this."""
    lines = "\n".join(f"    {line}" for line in play.strip().splitlines())
    (directory / "program.py").write_text(FRAME.format(play=lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "program"], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


INTERRUPTED = (130, "cleaned up\n", "")

PLAIN = "ctrl_c()"
IN_TEXT_THAT_IS_EXECUTED = 'exec("ctrl_c()", globals())'
IN_A_FINALIZER = """
class Leaving:
    def __del__(self):
        ctrl_c()
Leaving()
interruption.check()
"""
SWALLOWED = """
try:
    ctrl_c()
except BaseException:
    pass
interruption.check()
"""
IN_A_COROUTINE = """
async def work():
    ctrl_c()
    await asyncio.sleep(60)
interruption.run(work())
"""
IN_ANOTHER_TASK = """
async def other():
    ctrl_c()
    await asyncio.sleep(60)
async def work():
    task = asyncio.create_task(other())
    await asyncio.sleep(60)
interruption.run(work())
"""
SWALLOWED_BY_A_COROUTINE = """
async def work():
    ctrl_c()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pass
interruption.run(work())
"""
WHILE_HELD = """
with interruption.held():
    ctrl_c()
    interruption.check()
"""
IMPATIENTLY = """
try:
    ctrl_c()
finally:
    ctrl_c()
"""


@pytest.mark.parametrize(
    "play",
    [
        pytest.param(PLAIN, id="at any place"),
        pytest.param(IN_TEXT_THAT_IS_EXECUTED, id="in a text that is executed, as dataclasses are made"),
        pytest.param(IN_A_FINALIZER, id="in a finalizer, where Python loses what is raised"),
        pytest.param(SWALLOWED, id="in a library that swallows it"),
        pytest.param(IN_A_COROUTINE, id="in a coroutine"),
        pytest.param(IN_ANOTHER_TASK, id="in another task"),
        pytest.param(SWALLOWED_BY_A_COROUTINE, id="in a coroutine that swallows it"),
        pytest.param(WHILE_HELD, id="while it is held"),
        pytest.param(IMPATIENTLY, id="and once more"),
    ],
)
def test_ctrl_c_ends_it_with_130_cleaned_up_and_without_a_word(play: str, tmp_path: Path) -> None:
    assert after(play, tmp_path) == INTERRUPTED


def test_ctrl_c_while_it_cleans_up_disturbs_nothing_and_ends_it_with_130(tmp_path: Path) -> None:
    play = "exits.callback(lambda: [ctrl_c(), ctrl_c(), print('cleaned this too')])"
    assert after(play, tmp_path) == (130, "played to its end\ncleaned this too\ncleaned up\n", "")


def test_ctrl_c_that_was_waited_for_is_no_interruption(tmp_path: Path) -> None:
    play = "with interruption.held():\n    ctrl_c()\n    interruption.forget()\nctrl_c()"
    assert after(play, tmp_path) == (0, "played to its end\ncleaned up\n", "")


def test_without_ctrl_c_nothing_of_it_is_seen(tmp_path: Path) -> None:
    play = "async def work():\n    return 'done'\nprint(interruption.run(work()))\ninterruption.check()"
    assert after(play, tmp_path) == (0, "done\nplayed to its end\ncleaned up\n", "")


def test_what_else_a_finalizer_raises_is_still_shown(tmp_path: Path) -> None:
    play = "class Leaving:\n    def __del__(self):\n        raise ValueError('lost')\nLeaving()"
    code, printed, errors = after(play, tmp_path)
    assert (code, printed) == (0, "played to its end\ncleaned up\n")
    assert "ValueError: lost" in errors
