"""With --keep: what to try on the running stack, and waiting for Ctrl-C."""

import shutil
import sys
import time
from pathlib import Path

from streams.demo.narrator import Narrator
from streams.demo.script import Story
from streams.demo.stack import Stack

POLL_S = 0.2


def show_what_to_try(stack: Stack, story: Story, narrator: Narrator, *, position_before: str) -> None:
    """Lines to copy into another shell, with the real addresses and token."""
    settings = stack.settings
    narrator.say()
    narrator.say("All of it is left running, until Ctrl-C here. In another shell:", "bold")
    narrator.say()
    if shutil.which("consentry") is None:
        narrator.shell(f"export PATH={Path(sys.executable).parent}:$PATH")
    narrator.shell(f"export CONSENTRY_NODE_URL={settings.node_url}")
    narrator.shell(f"export CONSENTRY_BEARER_TOKEN={settings.bearer_token!s}")
    narrator.shell(f"export CONSENTRY_BOOTSTRAP_SERVERS={settings.bootstrap_servers}")
    if settings.topic_prefix:
        narrator.shell(f"export CONSENTRY_TOPIC_PREFIX={settings.topic_prefix}")
    narrator.shell(f"export POSITION_BEFORE={position_before}")
    narrator.commands(story.try_next)
    narrator.say()
    narrator.say(f"The API, to read: {settings.node_url}/docs", "bold")
    narrator.say(f"Logs of worker, query node and subscriber: {stack.directory}")


def wait_until_interrupted(stack: Stack) -> None:
    """Until Ctrl-C, which is how this is meant to end. Raises Unavailable where a program ends by itself."""
    with stack.interruption.held():
        while not stack.interruption.happened:
            stack.require_running()
            time.sleep(POLL_S)
        stack.interruption.forget()
