"""All that has to run before anything can be asked: Kafka, topics, policy, worker, query node, subscriber."""

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from consentry.errors import Unavailable
from consentry.intake import CallerRole
from consentry.settings import PREFIX, Secret, Settings
from streams.access import add_token
from streams.broker import KAFKA_VERSION, LocalKafka
from streams.demo.children import POLL_S, Child, end_all
from streams.demo.interruption import CleanUp, Interruption
from streams.demo.narrator import Narrator
from streams.demo.script import Story
from streams.policies import Publication, publish_revision
from streams.topics import Creation, check_topics, create_topics
from streams.topics.cluster import kafka_faults

START_TIMEOUT_S = 60.0
LISTENING = "listening on "
FOLLOWING = "following"
CALLER = "demo-app"
ROLES = (CallerRole.ASKER, CallerRole.PRODUCER, CallerRole.GUARDIAN_VERIFIER, CallerRole.AUDITOR)
"""of the one service that plays all others; in earnest who verifies guardians has a token of their own"""
PARTITIONS = 4
"""fewer than by default: each takes a laptop some time to start"""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, and how to reach it."""

    settings: Settings
    """those of a client of it: where Kafka and the node are, and a token"""
    directory: Path
    node: Child
    worker: Child
    subscriber: Child
    interruption: Interruption
    publishing_took_s: float
    """the policy's first version"""

    @property
    def children(self) -> tuple[Child, ...]:
        return (self.worker, self.node, self.subscriber)

    def require_running(self) -> None:
        """Raises Unavailable where a program ended by itself, Interrupted after Ctrl-C."""
        for child in self.children:
            child.require_running()


@contextmanager
def running_stack(settings: Settings, story: Story, narrator: Narrator, interruption: Interruption) -> Iterator[Stack]:
    """All of it, up and ready; ended and removed at the end. Raises Unavailable, UntrustedLog, Interrupted."""
    with CleanUp(interruption) as stack:
        own = not settings.bootstrap_servers
        if own:
            narrator.progress(f"starting Apache Kafka {KAFKA_VERSION}")
            kafka = stack.enter_context(LocalKafka.start(on_progress=narrator.progress))
            settings = Settings(bootstrap_servers=kafka.bootstrap)
        else:
            settings = Settings(
                bootstrap_servers=settings.bootstrap_servers, topic_prefix=f"demo-{secrets.token_hex(4)}."
            )
        settings = msgspec.structs.replace(settings, partitions=PARTITIONS, worker_id="demo-1")
        if not own:
            stack.callback(_remove_topics, settings)
        with interruption.held():
            directory = Path(tempfile.mkdtemp(prefix="consentry-demo-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        yield _start(stack, settings, story, narrator, directory, interruption, gently=not own)


def _start(
    stack: CleanUp,
    settings: Settings,
    story: Story,
    narrator: Narrator,
    directory: Path,
    interruption: Interruption,
    *,
    gently: bool,
) -> Stack:
    narrator.progress("creating topics: consentry topics create")
    interruption.run(_create_topics(settings))
    token_file = directory / "tokens.yaml"
    token = add_token(token_file, CALLER, ROLES)
    narrator.progress("starting a worker, a query node and a subscriber: consentry worker, consentry serve")
    children: list[Child] = []
    stack.callback(end_all, children, gently=gently)

    def child(name: str, *command: str, **more: str) -> Child:
        started = Child(name, (sys.executable, *command), directory, {**_environment(settings), **more}, interruption)
        children.append(started)
        return started

    worker = child("worker", "-m", "streams.cli", "worker")
    node = child(
        "query node", "-m", "streams.cli", "serve", CONSENTRY_HTTP_PORT="0", CONSENTRY_TOKEN_FILE=str(token_file)
    )
    subscriber = child("subscriber", str(story.subscriber_path))
    narrator.progress("checking topics and publishing the policy: consentry topics check, consentry policy publish")
    interruption.run(_check(settings))
    began = time.monotonic()
    interruption.run(_publish(settings, story))
    took_s = time.monotonic() - began
    url = node.wait_for_line(lambda line: LISTENING in line, START_TIMEOUT_S).partition(LISTENING)[2]
    client = msgspec.structs.replace(settings, node_url=url, bearer_token=Secret(token))
    ready = Stack(
        settings=client,
        directory=directory,
        node=node,
        worker=worker,
        subscriber=subscriber,
        interruption=interruption,
        publishing_took_s=took_s,
    )
    narrator.progress("waiting until the query node is ready: GET /readyz")
    _wait_until_ready(ready)
    subscriber.wait_for_line(lambda line: FOLLOWING in line, START_TIMEOUT_S)
    return ready


async def _create_topics(settings: Settings) -> Creation:
    return await create_topics(settings, new_log_id=uuid4)


async def _check(settings: Settings) -> None:
    findings = await check_topics(settings)
    if findings:
        raise Unavailable(str(findings[0]), where="consentry topics check", remedy=findings[0].remedy)


async def _publish(settings: Settings, story: Story) -> Publication:
    first = story.policy
    return await publish_revision(
        settings,
        first.document_with(first.instead),
        first.wording,
        now=time.time_ns() // 1_000_000,
        event_id=uuid4(),
        producer="consentry demo",
    )


def _environment(settings: Settings) -> Mapping[str, str]:
    """What a program of ours is told; settings of the shell must not reach into the demo."""
    return {
        f"{PREFIX}{field.upper()}": str(getattr(settings, field))
        for field in ("bootstrap_servers", "topic_prefix", "worker_id")
    }


def _wait_until_ready(stack: Stack) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(base_url=stack.settings.node_url) as http:
        while True:
            stack.require_running()
            answer = http.get("/readyz")
            if answer.status_code == httpx.codes.OK:
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"not ready in {START_TIMEOUT_S:.0f} s: {answer.text}", where="query node")
            time.sleep(POLL_S)


def _remove_topics(settings: Settings) -> None:
    """On a Kafka that is not ours, nothing of the demo stays."""
    asyncio.run(_delete(settings))


async def _delete(settings: Settings) -> None:
    assert settings.topic_prefix, "without a prefix of its own it would delete what others keep"
    with kafka_faults(settings):
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        try:
            await admin.start()
            await admin.delete_topics(
                [name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)]
            )
        finally:
            await admin.close()
