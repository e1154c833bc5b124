"""Writes the mutants of the fold and of the decision into a copy of the tree, as mutmut makes them.

    python mutants.py COPY

Run by an interpreter that has mutmut, and nothing of ours. All mutants of a function stand beside it; `switch.py`
says which one is called. What there is to run is written to COPY/mutants.json.
"""

import difflib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents

LEFT_OUT = {"__init__.py", "row.py", "answer.py", "preview.py"}
"""structures without rules; and what says whom a revision concerns, which decides nothing"""
MEMO = re.compile(r"^@(lru_cache|cache)\b.*\n", re.MULTILINE)
"""mutmut leaves decorated functions alone, and a memo would hide what a mutant does"""
THEIRS = "from mutmut.mutation.trampoline import wrap_in_trampoline as _mutmut_mutated, MutantDict"
OURS = "from mutation_switch import wrap_in_trampoline as _mutmut_mutated, MutantDict"
MANGLED = re.compile(r"x_(?P<function>.+)__mutmut_\d+|xǁ(?P<of>.+)ǁ(?P<method>.+)__mutmut_\d+")


class Mutant(NamedTuple):
    file: str
    module: str
    name: str
    """mutmut's, within the module"""
    function: str
    before: str
    after: str


CONFIG = r"""
[mutmut]
source_paths = consentry
do_not_mutate_patterns =
  raise ConsentryError
  assert_never\(
"""
"""what a fault says is no rule; what the types rule out is never run"""


def main(copy: Path) -> None:
    copy = copy.resolve()
    (copy / "setup.cfg").write_text(CONFIG, encoding="utf-8")
    os.chdir(copy)  # where mutmut looks for its configuration
    found: list[Mutant] = []
    for folder in ("state", "decision"):
        for path in sorted((copy / "consentry" / folder).glob("*.py")):
            if path.name not in LEFT_OUT:
                found += _mutate(path, copy)
    shutil.copy(Path(__file__).with_name("switch.py"), copy / "mutation_switch.py")
    (copy / "mutants.json").write_text(
        json.dumps([mutant._asdict() for mutant in found], indent=1, ensure_ascii=False), encoding="utf-8"
    )
    print(f"{len(found)} mutants of {len({mutant.file for mutant in found})} files")


def _mutate(path: Path, copy: Path) -> list[Mutant]:
    source = MEMO.sub("", path.read_text(encoding="utf-8"))
    mutated = mutate_file_contents(str(path), source)
    path.write_text(mutated.code.replace(THEIRS, OURS), encoding="utf-8")
    file = path.relative_to(copy).as_posix()
    module = file.removesuffix(".py").replace("/", ".")
    return [_described(mutated, file, module, name) for name in mutated.mutant_names]


def _described(mutated: MutatedFile, file: str, module: str, name: str) -> Mutant:
    parts = MANGLED.fullmatch(name)
    assert parts is not None, name
    function = parts["function"] or f"{parts['of']}.{parts['method']}"
    original = _lines(mutated, name.rpartition("_")[0] + "_orig", name)
    changed = _lines(mutated, name, name)
    before: list[str] = []
    after: list[str] = []
    for line in difflib.ndiff(original, changed):
        if line.startswith("- "):
            before.append(line[2:].strip())
        elif line.startswith("+ "):
            after.append(line[2:].strip())
    return Mutant(file, module, name, function, " ".join(before), " ".join(after))


def _lines(mutated: MutatedFile, function: str, name: str) -> list[str]:
    span = mutated.line_span_by_function_name[function]
    first, last = span.start, span.end
    lines = mutated.code.splitlines()[first - 1 : last]
    return [line.replace(function, name) for line in lines]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
