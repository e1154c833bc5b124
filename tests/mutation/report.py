"""Writes docs/explanation/mutation-testing.md's figures from results.json and harmless.yaml.

python tests/mutation/report.py
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "mutation-testing.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
RESULTS = ("killed", "killed late", "timed out", "survived", "stricter", "allows more")


def page() -> str:
    """The page with the figures that were last measured."""
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    harmless = yaml.safe_load((HERE / "harmless.yaml").read_text(encoding="utf-8")) or []
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return head + BEGIN + figures(results, harmless) + END + rest.split(END)[1]


def figures(results: dict[str, Any], harmless: list[dict[str, str]]) -> str:
    files, survivors = results["files"], results["survivors"]
    lines = [
        "",
        f"| file | mutants | {' | '.join(RESULTS)} | other histories | measured |",
        "|---|" + "--:|" * (len(RESULTS) + 2) + "---|",
    ]
    lines += [
        _row(f"`{file.removeprefix('consentry/')}`", [counts]) + f" {counts['histories']} | {counts['measured']} |"
        for file, counts in files.items()
    ]
    lines.append(_row("all", list(files.values())) + " | |")
    lines += ["", "## The survivors, and why each is harmless", ""]
    judged = [(mutant, why_harmless(mutant, harmless)) for mutant in survivors]
    for why in dict.fromkeys(why for _, why in judged if why):
        lines += [f"**{why}**", ""]
        lines += [_line(mutant) for mutant, reason in judged if reason == why]
        lines.append("")
    open_ones = [mutant for mutant, why in judged if not why]
    if open_ones:
        lines += [f"**Not judged one by one.** {len(open_ones)} that allowed nothing more on the random histories:", ""]
        lines += [*[_line(mutant) for mutant in open_ones], ""]
    return "\n".join(lines) + "\n"


def why_harmless(mutant: dict[str, str], harmless: list[dict[str, str]]) -> str:
    """The first entry that fits: each names a pattern for the file and function, for the line before and after."""
    for entry in harmless:
        place = f"{mutant['file'].removeprefix('consentry/')} {mutant['function']}"
        if all(
            re.search(entry.get(key, ""), text)
            for key, text in (("where", place), ("before", mutant["before"]), ("after", mutant["after"]))
        ):
            return entry["why"]
    return ""


def _row(name: str, counts: list[dict[str, Any]]) -> str:
    sums = [sum(each.get(result, 0) for each in counts) for result in RESULTS]
    return f"| {name} | {sum(sums)} | " + " | ".join(map(str, sums)) + " |"


def _line(mutant: dict[str, str]) -> str:
    place = f"{mutant['file'].removeprefix('consentry/').removesuffix('.py')}.{mutant['function']}"
    before, after = (_code(mutant[key]) for key in ("before", "after"))
    told = "" if mutant["result"] == "survived" else f" ({mutant['result']})"
    return f"- {place}: {before} → {after}{told}"


def _code(text: str) -> str:
    return f"`` {text} ``" if text else "nothing"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
