"""A local Kafka starts, serves, keeps what it should, and never outlives who started it."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consentry.errors import Unavailable
from streams.broker import LocalKafka
from streams.broker.jars import Jar, cache_dir, central_mirror, class_path, fetch, locked_jars

pytestmark = pytest.mark.stack
GONE_WITHIN_S = 30


def is_alive(pid: int) -> bool:
    """A zombie counts as gone: it holds nothing, and its new parent will collect it."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.05)


def start_owner(code: str, *arguments: str) -> tuple["subprocess.Popen[str]", list[str]]:
    """Another process that owns a LocalKafka; and the words of the one line that it prints."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, owner.stdout.readline().split()


async def create_topic(bootstrap: str, name: str, replicas: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=replicas)])
    finally:
        await admin.close()


async def write(bootstrap: str, topic: str, value: bytes) -> int:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        return int((await producer.send_and_wait(topic, value)).offset)
    finally:
        await producer.stop()


async def read_first(bootstrap: str, topic: str) -> bytes:
    consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return bytes((await consumer.getone()).value)
    finally:
        await consumer.stop()


async def test_what_is_written_can_be_read(kafka: str, topic_prefix: str) -> None:
    await create_topic(kafka, f"{topic_prefix}t")
    await write(kafka, f"{topic_prefix}t", b"hello")
    assert await read_first(kafka, f"{topic_prefix}t") == b"hello"


async def test_a_given_directory_keeps_its_records_and_its_cluster(tmp_path: Path) -> None:
    with LocalKafka.start(data_dir=tmp_path) as kafka:
        await create_topic(kafka.bootstrap, "t")
        await write(kafka.bootstrap, "t", b"kept")
    identity = (tmp_path / "broker-1/data/meta.properties").read_text()
    with LocalKafka.start(data_dir=tmp_path) as kafka:
        assert await read_first(kafka.bootstrap, "t") == b"kept"
    assert (tmp_path / "broker-1/data/meta.properties").read_text() == identity


def test_a_temporary_directory_goes_with_its_kafka() -> None:
    with LocalKafka.start() as kafka:
        directory = kafka.log_paths[0].parent
        assert directory.is_dir()
    assert not directory.parent.exists()


def test_data_of_one_broker_is_not_taken_up_by_three(tmp_path: Path) -> None:
    LocalKafka.start(data_dir=tmp_path).stop()
    with pytest.raises(Unavailable, match="the data there is of 1 broker, not 3"):
        LocalKafka.start(data_dir=tmp_path, brokers=3)


def test_a_directory_that_a_running_kafka_uses_is_refused(tmp_path: Path) -> None:
    with LocalKafka.start(data_dir=tmp_path), pytest.raises(Unavailable, match="another Kafka runs"):
        LocalKafka.start(data_dir=tmp_path)


def test_a_failed_start_shows_the_fault_from_the_brokers_log(tmp_path: Path) -> None:
    LocalKafka.start(data_dir=tmp_path).stop()
    identity = tmp_path / "broker-1/data/meta.properties"
    identity.write_text(identity.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(Unavailable, match=r"ended while it started(?s:.*)node id 7"):
        LocalKafka.start(data_dir=tmp_path)


def test_a_named_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable, match="a port is taken"):
        LocalKafka.start(port=taken.getsockname()[1])


def test_a_wrong_server_property_is_named_in_the_error() -> None:
    with pytest.raises(Unavailable, match=r"num\.partitions"):
        LocalKafka.start(overrides={"num.partitions": "many"})


OWNER = """
    import time
    from streams.broker import LocalKafka
    kafka = LocalKafka.start()
    print(*kafka.pids, kafka.log_paths[0].parent.parent, flush=True)
    time.sleep(600)
"""


def test_kafka_and_its_temporary_directory_go_when_its_owner_is_killed() -> None:
    owner, (pid, directory) = start_owner(OWNER)
    owner.kill()
    owner.communicate()
    wait_until_gone(int(pid))
    deadline = time.monotonic() + GONE_WITHIN_S
    while Path(directory).exists():
        assert time.monotonic() < deadline, f"{directory} is still there"
        time.sleep(0.05)


def test_a_paused_kafka_goes_too_when_its_owner_is_killed() -> None:
    owner, (pid, _) = start_owner(OWNER)
    os.kill(int(pid), signal.SIGSTOP)
    owner.kill()
    owner.communicate()
    wait_until_gone(int(pid))


def test_kafka_goes_when_its_owner_is_killed_though_a_fork_of_it_lives_on() -> None:
    forked = OWNER.replace("print(", "import os; child = os.fork() or time.sleep(600); print(child, ")
    owner, (child, pid, _) = start_owner(forked)
    try:
        owner.kill()
        wait_until_gone(int(pid))
        assert is_alive(int(child))
    finally:
        os.kill(int(child), signal.SIGKILL)
        owner.communicate()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_kafka_goes_when_its_watchdog_is_killed() -> None:
    with LocalKafka.start() as kafka:
        (pid,) = kafka.pids
        parent = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
        os.kill(int(parent.stdout), signal.SIGKILL)
        wait_until_gone(pid)


def test_a_foreground_broker_stops_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    code = """
        import sys
        from consentry.settings import Settings
        from streams.broker import run_broker
        run_broker(Settings(data_dir=sys.argv[1]), on_ready=lambda address: print(address, flush=True))
    """
    owner, (bootstrap,) = start_owner(code, str(tmp_path))
    assert bootstrap.startswith("127.0.0.1:")
    owner.send_signal(signal.SIGTERM)
    owner.communicate()
    assert owner.returncode == 0
    assert "shut down completed" in (tmp_path / "broker-1/server.log").read_text()


def test_with_a_warm_cache_no_network_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class_path(print)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    LocalKafka.start().stop()


def test_a_jar_in_the_machines_maven_repository_is_taken_only_if_it_is_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_path(print)
    jar = next(jar for jar in locked_jars() if jar.artifact == "slf4j-api")
    at = tmp_path / "m2" / "org" / "slf4j" / "slf4j-api" / jar.version
    at.mkdir(parents=True)
    (at / jar.filename).write_bytes((cache_dir() / jar.filename).read_bytes())
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    fetch([jar], tmp_path / "cache", print)
    assert (tmp_path / "cache" / jar.filename).read_bytes() == (at / jar.filename).read_bytes()
    forged = Jar(jar.group, jar.artifact, jar.version, "0" * 64)
    with pytest.raises(Unavailable, match=r"org\.slf4j:slf4j-api:1\.7\.36 could not be fetched"):
        fetch([forged], tmp_path / "other", print)
    assert not (tmp_path / "other" / jar.filename).exists()


def test_a_mirror_of_mavens_settings_is_used(tmp_path: Path) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>'
        "<mirror><id>a</id><mirrorOf>other</mirrorOf><url>https://a.example/x</url></mirror>"
        "<mirror><id>b</id><mirrorOf>*</mirrorOf><url>https://b.example/maven/</url></mirror>"
        "</mirrors></settings>"
    )
    assert central_mirror(settings) == "https://b.example/maven"
    assert central_mirror(tmp_path / "none.xml") == ""


@pytest.mark.slow
async def test_a_cluster_acknowledges_while_one_broker_of_three_is_dead(
    kafka_cluster: LocalKafka, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}t"
    await create_topic(kafka_cluster.bootstrap, topic, replicas=3)
    kafka_cluster.kill(0)
    try:
        assert kafka_cluster.pids[0] == 0
        await write(kafka_cluster.bootstrap, topic, b"survives")
    finally:
        kafka_cluster.restart(0)
    assert await read_first(kafka_cluster.bootstrap, topic) == b"survives"
