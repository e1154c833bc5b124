"""The reference pages that the code itself knows best: topics, settings, command line.

`python tests/contract/reference.py` writes them; a test compares them with what the code says now.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from streams.cli import main
from streams.settings_options import described_settings
from streams.topics import TOPICS, Match, TopicRule, demands_on

PAGES = Path(__file__).parents[2] / "docs" / "reference"
WIDTH = 100
EXIT_CODES = """\
| exit code | means |
|---|---|
| 0 | done, or ALLOW |
| 1 | DENY, or a check failed: a wrong topic, a policy or an event that is refused |
| 2 | wrong use: an unknown flag, a missing setting |
| 3 | it could not be found out: Kafka or the query node does not answer, or its answer is not known |
| 130 | ended by Ctrl-C |
"""


def page_of_topics() -> str:
    lines = [
        "# Topics",
        "",
        "`consentry topics create` makes them so; `consentry topics check`, every worker and every query node compare",
        "the live ones and refuse to serve on a wrong one, with the command that mends it. Before each name stands",
        "`CONSENTRY_TOPIC_PREFIX`. The table is in `streams/topics/table.py`.",
        "",
        "| topic | key | partitions | what |",
        "|---|---|---|---|",
        *(f"| `{shown_name(rule)}` | {rule.key} | {rule.spread} | {rule.what} |" for rule in TOPICS),
        "",
        "Replication is 3 where there are three brokers, else 1 (`CONSENTRY_REPLICATION_FACTOR` says otherwise).",
        "",
        "Record 0 of each partition of `consent-events` and `policy-revisions` is a `Genesis`: the log's id, its",
        "epoch, its number of partitions, and whether subject ids are plain or hashed. All agree, or nobody serves.",
        "Both topics are never compacted and lose no record, so a first offset other than 0 is a fault. An empty",
        "partition gets its genesis from `topics create` only while the log is still being made: beside partitions",
        "that were used, an empty one has lost its records, and `create` refuses.",
    ]
    for rule in TOPICS:
        lines += ["", f"## `{shown_name(rule)}`", "", "| setting | must be | why |", "|---|---|---|"]
        lines += [
            f"| `{demand.setting}` | {'' if demand.match is Match.EXACTLY else f'{demand.match} '}`{demand.value}` "
            f"| {demand.why} |"
            for demand in demands_on(rule, 3)
        ]
    return "\n".join(lines) + "\n\n`min.insync.replicas` is 1 where a topic has fewer than three replicas.\n"


def shown_name(rule: TopicRule) -> str:
    return f"{rule.name}.<producer>" if rule.per_producer else rule.name


def page_of_settings() -> str:
    lines = [
        "# Settings",
        "",
        "Each is read from its variable, once, when a command starts; a flag of the command wins over it. A variable",
        "that ends in `_FILE` names a file that holds the value, as secrets are handed to containers. An unknown",
        "`CONSENTRY_` variable is an error. Times are in ms and sizes in bytes. `consentry settings` shows the values.",
        "",
        "| variable | default | what |",
        "|---|---|---|",
    ]
    for setting in described_settings():
        default = f"`{setting.default}`" if setting.default else "empty"
        lines.append(f"| `{setting.variable}` | {default} | {setting.says} |")
    return "\n".join(lines) + "\n"


def page_of_commands() -> str:
    parts = [
        "# The command line",
        "",
        "The result goes to stdout, progress and errors to stderr. `--json` prints JSON with stable keys. Every flag",
        "that names a setting has a variable too: see [settings](settings.md).",
        "",
        EXIT_CODES,
    ]
    for path, command in commands():
        context = click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH)
        context.help_option_names = ["-h", "--help"]
        parts += [f"## `{path}`", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(parts)


def commands(group: click.Group = main, path: str = "consentry") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, the group itself first."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


PAGE_OF = {"topics.md": page_of_topics, "settings.md": page_of_settings, "cli.md": page_of_commands}

if __name__ == "__main__":
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, page in PAGE_OF.items():
        (PAGES / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGES / name}\n")
