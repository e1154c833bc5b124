"""Moments as people and programs write them."""

from datetime import UTC, datetime

import click


class Moment(click.ParamType):
    """ms since the epoch, or ISO 8601 (UTC where it names no zone). A command is given ms."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        if text.isascii() and text.isdigit():
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither ms since the epoch nor like 2026-11-24T13:50:00Z", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
