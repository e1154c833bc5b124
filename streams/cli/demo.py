"""`consentry demo`: the whole path as a story."""

import click

from consentry.settings import Settings
from streams.cli.frame import finish, with_settings


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and say what to try next.")
@with_settings("bootstrap_servers")
def demo(settings: Settings, keep: bool) -> None:
    """Play the whole path as a story, on a real Kafka.

    Each step prints the event, the question, the answer, its reason and the clause behind it.

    Without --bootstrap-servers it starts a Kafka of its own, and removes all of it at the end.

    \b
    Example:
      consentry demo --keep
    """
    from streams.demo import run_demo

    finish(run_demo(settings, keep=keep))
