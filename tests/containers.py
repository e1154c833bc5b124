"""A Kafka in a container, where an engine runs: with the server properties of our own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from streams.broker import KAFKA_VERSION
from streams.broker.local import choose_ports
from streams.broker.properties import server_properties

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
START_TIMEOUT_S = 180  # a first run pulls the image


@contextmanager
def kafka_container() -> Iterator[str]:
    """The address of Apache Kafka in a container, removed at the end, and if the tests are killed."""
    (ports,) = choose_ports(1)
    container = DockerContainer(IMAGE).with_bind_ports(ports.client, ports.client)
    address = f"{container.get_container_host_ip()}:{ports.client}"
    everywhere = {
        "listeners": f"PLAINTEXT://0.0.0.0:{ports.client},CONTROLLER://127.0.0.1:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{address}",
    }
    text = server_properties(0, (ports,), PurePosixPath("/tmp/kafka"), everywhere)
    for name, _, value in (line.partition("=") for line in text.splitlines()):
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_TIMEOUT_S))
    with container:
        yield address
