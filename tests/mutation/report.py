"""Writes docs/explanation/mutation-testing.md's figures from results.json and harmless.yaml.

python tests/mutation/report.py
"""

import json
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
    results, harmless = measured()
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return head + BEGIN + figures(results, harmless) + END + rest.split(END)[1]


def measured() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the last runs found, and what is said of it."""
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    return results, yaml.safe_load((HERE / "harmless.yaml").read_text(encoding="utf-8")) or []


def figures(results: dict[str, Any], harmless: list[dict[str, Any]]) -> str:
    files, survivors = results["files"], results["survivors"]
    lines = [
        "",
        f"| file | mutants | {' | '.join(RESULTS)} | other histories | commit |",
        "|---|" + "--:|" * (len(RESULTS) + 2) + "---|",
    ]
    lines += [
        _row(f"`{file.removeprefix('consentry/')}`", [counts]) + f" {counts['histories']} | {counts['commit']} |"
        for file, counts in files.items()
    ]
    lines.append(_row("all", list(files.values())) + " | |")
    lines += ["", "## The survivors, and why each is harmless", ""]
    reasons = arguments(harmless)
    judged = [(mutant, reasons.get(_key(mutant), "")) for mutant in survivors]
    for why in dict.fromkeys(entry["why"] for entry in harmless):
        argued = [_line(mutant) for mutant, reason in judged if reason == why]
        lines += [f"**{why}**", "", *argued, ""] if argued else []
    open_ones = [mutant for mutant, why in judged if not why]
    if open_ones:
        lines += [f"**Not judged one by one.** {len(open_ones)} that allowed nothing more on the random histories:", ""]
        lines += [*[_line(mutant) for mutant in open_ones], ""]
    return "\n".join(lines) + "\n"


def arguments(harmless: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
    """Why each mutant that is named is harmless, by where it is and the lines that differ, before and after.

    Word for word: whoever changes the line has to judge its mutants anew.
    """
    return {
        (where, before, after): entry["why"]
        for entry in harmless
        for where, changes in entry["mutants"].items()
        for before, afters in changes.items()
        for after in afters
    }


def unjudged(results: dict[str, Any], harmless: list[dict[str, Any]]) -> list[str]:
    """The survivors of which nothing is said."""
    reasons = arguments(harmless)
    return [_line(mutant) for mutant in results["survivors"] if _key(mutant) not in reasons]


def idle(results: dict[str, Any], harmless: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What is argued of no survivor: the line has changed, or a test sees it now."""
    survivors = {_key(mutant) for mutant in results["survivors"]}
    return [key for key in arguments(harmless) if key not in survivors]


def _key(mutant: dict[str, str]) -> tuple[str, str, str]:
    place = f"{mutant['file'].removeprefix('consentry/')} {mutant['function']}"
    return place, mutant["before"], mutant["after"]


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
