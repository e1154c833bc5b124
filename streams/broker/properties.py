"""server.properties of a local broker: small, fast to start, and as strict as production where it matters."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

HOST = "127.0.0.1"


@dataclass(frozen=True)
class NodePorts:
    """Where one node listens."""

    client: int
    controller: int


def server_properties(index: int, ports: tuple[NodePorts, ...], log_dir: PurePath, overrides: Mapping[str, str]) -> str:
    """The text for node `index` (from 0) of len(ports) nodes, each broker and controller at once."""
    own, count = ports[index], len(ports)
    voters = ",".join(f"{number}@{HOST}:{port.controller}" for number, port in enumerate(ports, start=1))
    replicas, in_sync = (1, 1) if count < 3 else (3, 2)
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(index + 1),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://{HOST}:{own.client},CONTROLLER://{HOST}:{own.controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{own.client}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        "num.partitions": "12",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "unclean.leader.election.enable": "false",
        "offsets.topic.replication.factor": str(replicas),
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        "group.initial.rebalance.delay.ms": "0",  # the first worker need not wait for a second
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # 128 MB of heap otherwise
        "log.index.size.max.bytes": str(1024 * 1024),  # 10 MB a segment otherwise, where files are not sparse
        **overrides,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())
