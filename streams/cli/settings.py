"""`consentry settings`: each setting, its value here and what it is for."""

import click
import msgspec

from consentry.settings import Settings
from streams.cli.frame import json_flag, show, show_json, with_settings
from streams.settings_options import described_settings, shown_value


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as `settings --json` prints it."""

    name: str
    variable: str
    value: str
    default: str
    says: str


@click.command("settings")
@with_settings()
@json_flag
def settings(settings: Settings, as_json: bool) -> None:
    """Show every setting, its value here and what it is for.

    A secret shows as ***.

    \b
    Example:
      consentry settings --json
    """
    shown = [
        Shown(
            name=setting.name,
            variable=setting.variable,
            value=shown_value(settings, setting),
            default=setting.default,
            says=setting.says,
        )
        for setting in described_settings()
    ]
    if as_json:
        show_json(shown)
        return
    for line in shown:
        show(f"{line.variable}={line.value}", bold=line.value != line.default)
        show(f"    {line.says}")
