"""Mutation testing of the fold and of the decision. Takes some twenty minutes on two idle cores.

    python tests/mutation/run.py [--only PART_OF_A_FILES_NAME]... [--jobs 2] [--histories 5000]

On a copy of the tree, in a temporary folder. What was found is kept in results.json beside this file, from which
report.py writes docs/explanation/mutation-testing.md. With --only, the other files' results stay as they are. A run
that was interrupted goes on where it was, as long as neither the product nor the tests have changed.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.json"
ENVIRONMENT = ROOT / ".run" / "mutmut"
BEGUN = ROOT / ".run" / "mutation"
"""results of runs that have not come to their end, and what killed which function's mutants"""
MATTERS = ("consentry", "streams", "schemas", "examples", "tests", "pyproject.toml")
"""what a result hangs on"""
LOCK = ROOT / "requirements" / "mutation.lock"
COPIED = ("consentry", "streams", "schemas", "examples", "docs", "tests", "pyproject.toml", "README.md", "CHANGELOG.md")
TESTS = (
    "tests/unit/test_fold*.py",
    "tests/unit/test_blocks.py",
    "tests/unit/test_effects.py",
    "tests/unit/test_decision_*.py",
    "tests/unit/test_newsletter_policy.py",
    "tests/unit/test_intake_guardians.py",
)
Mutant = dict[str, Any]
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".hypothesis", "results.json", "harmless.yaml", "deep-run.txt")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", help="a part of the names of files to mutate; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument(
        "--histories", type=int, default=5_000, help="on which survivors are compared with the original"
    )
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="consentry-mutants-") as folder:
        mutants = measured(Path(folder), lambda mutant: _is_asked(mutant, asked.only), asked.jobs, asked.histories)
    keep(mutants, asked.histories, whole=not asked.only)
    for name, count in Counter(mutant["result"] for mutant in mutants).items():
        print(f"{count:>6} {name}")
    allowing = [mutant for mutant in mutants if mutant["result"] == "allows more"]
    for mutant in allowing:
        print(f"{mutant['file']} {mutant['function']}: {mutant['before']} -> {mutant['after']}")
    return 1 if allowing else 0


def _is_asked(mutant: Mutant, parts: list[str] | None) -> bool:
    return not parts or any(part in mutant["file"] for part in parts)


def measured(copy: Path, wanted: Callable[[Mutant], bool], jobs: int, histories: int) -> list[Mutant]:
    """What came of each mutant that is wanted, in a copy of the tree."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=LEFT_OUT)
        else:
            shutil.copy(source, copy / name)
    results = BEGUN / f"{_digest(copy, histories)}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([python_with_mutmut(), copy / "tests/mutation/mutants.py", copy], check=True)
    listed = copy / "mutants.json"
    mutants = [mutant for mutant in json.loads(listed.read_text(encoding="utf-8")) if wanted(mutant)]
    listed.write_text(json.dumps(mutants), encoding="utf-8")
    _run(
        copy,
        {
            "MUTANTS": str(listed),
            "MUTATION_RESULTS": str(results),
            "MUTATION_KILLERS": str(BEGUN / "killers.json"),
            "MUTATION_HISTORIES": str(histories),
            "MUTATION_JOBS": str(jobs),
        },
    )
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    found = {(line["file"], line["name"]): line for line in lines}
    measured = [found[mutant["file"], mutant["name"]] for mutant in mutants]
    results.unlink()
    return measured


def _run(copy: Path, asked: dict[str, str]) -> None:
    environment = os.environ | asked
    environment["PYTHONPATH"] = os.pathsep.join([str(copy), str(copy / "tests")])
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    tests = [str(path) for pattern in TESTS for path in sorted(copy.glob(pattern))]
    command = [sys.executable, "-m", "pytest", "-p", "mutation.plugin", "-p", "no:cacheprovider", "-s", "-q"]
    subprocess.run(
        [*command, "-m", "not slow and not deep and not stack", *tests], cwd=copy, env=environment, check=True
    )


def _digest(copy: Path, histories: int) -> str:
    """Of all that a result hangs on."""
    digest = hashlib.sha256(str(histories).encode())
    for name in MATTERS:
        for path in sorted([copy / name, *(copy / name).rglob("*")]):
            if path.is_file():
                digest.update(path.relative_to(copy).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def python_with_mutmut() -> Path:
    """mutmut wants a newer click than Faust allows: it gets an environment of its own, beside ours."""
    python = ENVIRONMENT / "bin" / "python"
    stamp, wanted = ENVIRONMENT / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCK], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def keep(mutants: list[Mutant], histories: int, *, whole: bool) -> None:
    """Into results.json: counts for each file, and whatever was not killed. Unless `whole`, beside what was there."""
    kept: dict[str, Any] = {"files": {}, "survivors": []}
    if not whole and RESULTS.exists():
        kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    files: dict[str, Counter[str]] = {}
    for mutant in mutants:
        files.setdefault(mutant["file"], Counter())[mutant["result"]] += 1
    today, commit = f"{datetime.now(UTC):%Y-%m-%d}", _commit()
    for file, counts in files.items():
        kept["files"][file] = {"measured": today, "commit": commit, "histories": histories, **counts}
    survivors = [mutant for mutant in kept["survivors"] if mutant["file"] not in files]
    survivors += [
        {key: mutant[key] for key in ("file", "function", "name", "before", "after", "result")}
        for mutant in mutants
        if mutant["result"] in ("survived", "stricter", "allows more")
    ]
    kept["survivors"] = sorted(survivors, key=lambda mutant: (mutant["file"], mutant["function"], _number(mutant)))
    kept["files"] = dict(sorted(kept["files"].items()))
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str:
    """What was measured, as git names it; with a plus where the product or its tests had been changed."""
    changed = _git("status", "--porcelain", "--", *MATTERS, ":!tests/mutation")
    return _git("rev-parse", "--short=9", "HEAD") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _number(mutant: Mutant) -> int:
    return int(mutant["name"].rpartition("_")[2])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit("ended; the next run goes on from here"))
    sys.exit(main())
