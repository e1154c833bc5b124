"""What the tests share: one real Kafka for all that need one, and names that do not collide on it."""

import re
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from consentry.settings import load_settings
from streams.broker import LocalKafka, engine_answers

# A busy machine is no fault of what is tested: no property has a deadline.
hypothesis.settings.register_profile("no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("no clock")

# What a shell starts in the background ignores Ctrl-C, and so would every program of ours that is to heed it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is what told cases reach, not what chance does: and tracing would slow each property many times over."""
    for item in items:
        if isinstance(item, pytest.Function) and hypothesis.is_hypothesis_test(item.obj):
            item.add_marker("no_cover")


def show(line: str) -> None:
    """Progress past pytest's capture: a first run fetches Kafka, and silence would look like a hang."""
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of a real Kafka: one that is given, a container, or a child process of ours."""
    given = load_settings().bootstrap_servers
    if given:
        yield given
        return
    with ExitStack() as stack:
        yield container_of(stack) or stack.enter_context(LocalKafka.start(on_progress=show)).bootstrap


def container_of(stack: ExitStack) -> str:
    """The address of a Kafka in a container; empty where no engine answers, or it cannot run the image."""
    if not engine_answers():
        return ""
    from containers import kafka_container

    try:
        return stack.enter_context(kafka_container())
    except Exception as fault:  # whatever the engine's client raises: the tests have another Kafka to run on
        show(f"no Kafka in a container ({fault}); starting one of our own")
        return ""


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[LocalKafka]:
    """Three brokers, for tests that kill them. Whoever kills one restarts it."""
    with LocalKafka.start(brokers=3, on_progress=show) as cluster:
        yield cluster


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of its own for each test: topics, groups and transactional ids of two tests never meet."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    return f"{name}-{uuid.uuid4().hex[:8]}."
