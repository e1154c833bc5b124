"""How every command behaves: flags for settings, results on stdout, the rest on stderr, exit codes, no tracebacks."""

import functools
import importlib
import logging
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from consentry.errors import (
    ConsentryError,
    InvalidEvent,
    InvalidPolicy,
    NotFresh,
    Unavailable,
    UndecodableRecord,
    UntrustedLog,
)
from consentry.settings import load_settings
from streams.settings_options import described

Command = TypeVar("Command", bound=Callable[..., Any])


class Exit(IntEnum):
    """What a program may rely on."""

    DONE = 0
    """done, or ALLOW"""
    NO = 1
    """DENY, or a check failed"""
    WRONG_USE = 2
    UNKNOWN = 3
    """it could not be found out"""
    INTERRUPTED = 130


EXIT_OF_ERROR: tuple[tuple[type[ConsentryError], Exit], ...] = (
    (InvalidEvent, Exit.NO),
    (InvalidPolicy, Exit.NO),
    (UntrustedLog, Exit.NO),
    (Unavailable, Exit.UNKNOWN),
    (NotFresh, Exit.UNKNOWN),
    (UndecodableRecord, Exit.UNKNOWN),
    (ConsentryError, Exit.WRONG_USE),
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed: `streams.cli.<module>:<attribute>`."""

    def __init__(self, *args: Any, modules: dict[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (as above)
        place = self._modules.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # its faults are raised to us
        try:
            return super().invoke(ctx)
        except ConsentryError as fault:
            show_error(fault)
            ctx.exit(exit_of(fault))
        except KeyboardInterrupt:
            note("interrupted")
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception:  # a fault of ours must not look like a DENY, which is 1
            traceback.print_exc()
            note("this is a fault of Consentry; please report it with the lines above")
            ctx.exit(Exit.UNKNOWN)


def exit_of(fault: ConsentryError) -> Exit:
    return next(code for kind, code in EXIT_OF_ERROR if isinstance(fault, kind))


def show_error(fault: ConsentryError) -> None:
    """What, where, and what to do; on stderr."""
    for one in _each(fault):
        where = f"{one.where}: " if one.where else ""
        click.secho(f"error: {where}{one.what}", fg="red", err=True)
        if one.remedy:
            click.echo(f"  try: {one.remedy}", err=True)


def _each(fault: ConsentryError) -> tuple[ConsentryError, ...]:
    """An event or a document may have several faults, and each is told."""
    match fault:
        case InvalidEvent():
            return fault.problems
        case InvalidPolicy():
            return (fault, *fault.others)
        case _:
            return (fault,)


def note(line: str) -> None:
    """Progress and remarks: on stderr, so that stdout holds the result alone."""
    click.secho(line, dim=True, err=True)


def warn(line: str) -> None:
    click.secho(f"note: {line}", fg="yellow", err=True)


def show(line: str = "", **style: Any) -> None:
    """A line of the result."""
    click.secho(line, **style)


def show_json(result: object) -> None:
    """The result for programs: one JSON document on one line, with stable keys."""
    click.echo(msgspec.json.encode(result))


def finish(code: int) -> NoReturn:
    """End the command with this exit code."""
    sys.exit(code)


def with_settings(*names: str) -> Callable[[Command], Command]:
    """The named settings as flags; each wins over its CONSENTRY_ variable. The command is given `settings`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**values: Any) -> Any:
            overrides = {name: values.pop(name) for name in names}
            return command(settings=load_settings(**overrides), **values)

        flagged: Any = run
        for name in reversed(names):
            setting = described(name)
            says = f"{setting.says}  [{setting.variable}]"
            flagged = click.option(setting.flag, name, type=setting.kind, default=None, help=says)(flagged)
        flagged_command: Command = flagged
        return flagged_command

    return decorate


KAFKA = ("bootstrap_servers", "topic_prefix")
"""The settings of every command that speaks to Kafka."""
NODE = ("node_url",)
"""The setting of every command that asks a query node; its token is no flag, which others on the machine could read."""

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys, for programs.")
