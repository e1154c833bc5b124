"""What runs the mutants: what ends one, what is counted as what, and that an interrupted run goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SCRIPT = """
import os, signal, sys
from pathlib import Path
from mutation import forks

forks.AT_LEAST_S, forks.IDLE_S, forks.ROOM = 0.2, 1, 64 << 20


def attempt(mutant, killers, begin):
    begin(mutant["name"], 0.0)
    if mutant["name"] == "loops":
        while True:
            pass
    if mutant["name"] == "waits":
        while True:
            signal.pause()
    if mutant["name"] == "takes memory":
        bytearray(1 << 30)
    if mutant["name"] == "is ended from without":
        os.kill(os.getpid(), signal.SIGKILL)
    if mutant["name"] == "exits":
        sys.exit(0)
    if mutant["name"] == "is killed":
        raise forks.Killed("a test")
    begin("", 0.0)
    return forks.Verdict.SURVIVED


names = sys.argv[2:]
mutants = [{"file": "f", "module": "m", "function": "g", "name": name} for name in names]
folder = Path(sys.argv[1])
work = forks.Work(mutants, folder / "results", folder / "killers", 0, 2)
forks.Forks(work, attempt, 3).run_all()
"""
ENDS = {
    "survives": "survived",
    "is killed": "killed",
    "exits": "killed",
    "takes memory": "killed",
    "loops": "timed out",
    "waits": "timed out",
}


def run(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, *names],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )


def found(folder: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (folder / "results").read_text(encoding="utf-8").splitlines()]
    assert len({line["name"] for line in lines}) == len(lines)
    return {line["name"]: line["result"] for line in lines}


def test_each_end_of_a_mutant_is_counted_as_what_it_is(tmp_path: Path) -> None:
    ended = run(tmp_path, *ENDS)
    assert ended.returncode == 0, ended.stderr
    assert found(tmp_path) == ENDS


def test_a_mutant_that_is_ended_from_without_is_not_counted_and_fails_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, "is ended from without", "is killed")
    assert ended.returncode != 0
    assert "not measured" in ended.stderr
    assert found(tmp_path) == {"is killed": "killed"}


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    known = {"file": "f", "name": "is killed", "result": "survived"}
    torn = '{"file": "f", "name": "surv'
    (tmp_path / "results").write_text(json.dumps(known) + "\n" + torn, encoding="utf-8")
    ended = run(tmp_path, "is killed", "survives", "exits")
    assert ended.returncode == 0, ended.stderr
    assert "2 mutants, 1 measured before" in ended.stderr
    assert found(tmp_path) == {"is killed": "survived", "survives": "survived", "exits": "killed"}
