"""`consentry broker`: a local Apache Kafka in the foreground."""

import click

from consentry.settings import Settings
from streams.cli.frame import note, show, with_settings


@click.command()
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="How many.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The first broker's; 0: a free one.")
@with_settings("data_dir")
def broker(settings: Settings, brokers: str, port: int) -> None:
    """Run a real Apache Kafka here, until Ctrl-C.

    It needs neither Docker nor Java. Its address is printed once it serves. Without --data-dir
    its data is gone at the end.

    \b
    Example:
      consentry broker --data-dir ./kafka
    """
    from streams.broker import run_broker

    run_broker(settings, brokers=int(brokers), port=port, on_progress=note, on_ready=show)
