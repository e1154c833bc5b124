"""Settings: every limit and address, in one frozen struct. Nothing else reads the environment."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from consentry.errors import ConsentryError

PREFIX = "CONSENTRY_"


class Secret(str):
    """A string that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is read from CONSENTRY_<FIELD>. Times are in ms, sizes in bytes, unless the name says otherwise."""

    # Kafka
    bootstrap_servers: str = ""
    """host:port[,host:port] of Kafka; `consentry broker` starts one, and the demo its own where this is empty"""
    topic_prefix: str = ""
    """several controllers on one cluster: before each topic, group and transactional id"""
    partitions: int = 12
    """of consent-events, consent-state and consent-obligations, when they are created"""
    replication_factor: int = 0
    """0: three where there are three brokers, else one"""
    subject_pepper: Secret = Secret("")
    """replaces each subject id by its keyed hash (HMAC-SHA-256); the log's genesis says that it does"""
    # worker
    worker_id: str = ""
    """static membership: a restarted worker gets its partitions back without waiting; unique for each worker"""
    session_timeout_ms: int = 10_000
    """how long a worker may be silent before its partitions go to another"""
    heartbeat_interval_ms: int = 250
    """how often an owner says how far it has folded; a reader's freshness rests on it"""
    transaction_timeout_ms: int = 20_000
    """how long a transaction that its owner left open may hold readers back"""
    restore_timeout_ms: int = 120_000
    """how long reading all rows at a start or take-over may take"""
    batch_records: int = 5_000
    """at the most so many records are folded in one transaction"""
    intake_producers: str = ""
    """comma-separated names of the producers whose consent-intake.<name> topics this worker reads"""
    # query node
    http_host: str = "127.0.0.1"
    """the address that a query node listens on"""
    http_port: int = 8480
    """its port; 0: a free one"""
    public_url: str = ""
    """how callers reach query nodes, as behind a proxy that ends TLS: what AuthZEN's metadata names; empty: as asked"""
    node_url: str = ""
    """where the commands that ask a query node find it; empty: http_host and http_port of this machine"""
    bearer_token: Secret = Secret("")
    """what those commands show to it; made by `consentry token create`"""
    token_file: str = ""
    """hashed bearer tokens with their roles; without it no query node serves"""
    acknowledge_timeout_ms: int = 10_000
    """how long Kafka may take to answer or to acknowledge a write"""
    visible_timeout_ms: int = 2_000
    """how long a check with min_position, or an event with `wait`, may wait to become visible"""
    clock_tolerance_ms: int = 1_000
    """a node whose clock is further behind the broker's than this allows nothing"""
    max_body_bytes: int = 1_048_576
    """of an HTTP request"""
    max_batch: int = 500
    """events in one list, evaluations in one request"""
    search_subjects: int = 2_000
    """that one page of a search for subjects looks at, at the most"""
    history_timeout_ms: int = 10_000
    """how long one request for a subject's history reads the log; its cursor leads on"""
    history_readers: int = 4
    """requests for a history that a query node works on at a time; one more is answered 503"""
    watchers: int = 100
    """that a query node tells of changes at a time; one more is answered 503"""
    watch_subjects: int = 100
    """that one watcher may name"""
    watch_changes: int = 1_000
    """changed subjects that may wait for one watcher to read; then it is dropped, and may come again"""
    watch_heartbeat_ms: int = 15_000
    """after so long without a change a watcher is told that the node lives"""
    max_json_depth: int = 32
    """how deeply a request's JSON may nest"""
    request_timeout_ms: int = 10_000
    """how long a request's body may take to arrive"""
    max_connections: int = 1_000
    """open connections to a query node; one more is answered 503"""
    shutdown_timeout_ms: int = 5_000
    """how long requests in flight may take once a query node is told to stop"""
    max_unacknowledged: int = 2_000
    """events that a writer of the log may have sent and not seen acknowledged; the next one waits"""
    remembered_requests: int = 10_000
    """answers to events that a query node keeps, so that the same request again is not a second record"""
    # replica
    replica_dir: str = ""
    """of the copy that the processes of this host share, on a local disk; empty: each has its own, gone when it ends"""
    replica_max_bytes: int = 64 * 1024**3
    """how large that copy may become"""
    replica_decoded_rows: int = 10_000
    """rows that a process keeps decoded, as who is asked about once is asked about again; 0: none"""
    # events
    max_event_bytes: int = 65_536
    """of one event, encoded"""
    max_text: int = 512
    """characters of a reason, a method, a legal reference"""
    max_names: int = 32
    """data categories, or recipients, that one event may name; left out they mean every one"""
    future_tolerance_ms: int = 300_000
    """what loosens is refused when its clock is further ahead than this"""
    # local broker
    data_dir: str = ""
    """of the local broker; empty: a temporary directory"""
    log_level: str = "info"
    """debug, info, warning or error"""

    def topic(self, name: str) -> str:
        """The name of a topic of ours on this cluster, with the prefix."""
        return f"{self.topic_prefix}{name}"


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
    """Settings from CONSENTRY_* variables; `overrides` (of the command line) win.

    `CONSENTRY_SUBJECT_PEPPER_FILE` and the like read a value from a file, as secrets are handed to containers.
    Raises ConsentryError naming the variable that is unknown or not of its type.
    """
    values: dict[str, object] = {}
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        field = name[len(PREFIX) :].lower()
        if field not in known and field.removesuffix("_file") in known:
            field, text = field.removesuffix("_file"), _secret_of(name, text)
        if field not in known:
            raise ConsentryError(
                f"{name} is not a setting",
                remedy=f"known: {', '.join(PREFIX + key.upper() for key in known)}",
            )
        values[field] = _typed(name, text, known[field].type)
    values.update({key: value for key, value in overrides.items() if value is not None})
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as fault:
        raise ConsentryError(str(fault), where="settings") from fault


def _secret_of(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise ConsentryError(f"{path} cannot be read: {fault.strerror}", where=name) from fault


def _typed(name: str, text: str, kind: object) -> object:
    if kind is not int:
        return Secret(text) if kind is Secret else text
    try:
        return int(text)
    except ValueError as fault:
        raise ConsentryError(f"{text!r} is not a whole number", where=name) from fault
