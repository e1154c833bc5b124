"""The Faust app: settings in, app out. `consentry worker` and `faust -A streams.app worker` run the same one."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, cast

import faust
from faust.types import TP, AppT, Message

from consentry.errors import ConsentryError
from consentry.events import Genesis
from consentry.replica.policies import PolicyFollower
from consentry.settings import Settings, load_settings
from streams.append import LogWriter
from streams.heartbeats import Heartbeats
from streams.intake_agent import IntakeDoor
from streams.logs import configure_logging
from streams.ownership import Ownership
from streams.processors import Batch, Reached, nothing
from streams.topics import require_topics
from streams.transport import Consumer

log = logging.getLogger(__name__)

EXIT_FATAL = 70
GROUP = "consentry-workers"
STREAM_BUFFER_BATCHES = 64
GC_THRESHOLDS = (100_000, 20, 100)
"""objects made, net, before a collection: twelve batches in flight hold half a million that all go by themselves, and
walking them again and again took a sixth of the worker's time"""


class RawSchema(faust.Schema[Any, Any]):
    """Hands keys and values on as they are: Faust acks what it cannot decode, so it decodes nothing."""

    def loads_key(self, app: AppT, message: Message, **_: Any) -> Any:  # noqa: ARG002  (Faust's signature)
        return message.key

    def loads_value(self, app: AppT, message: Message, **_: Any) -> Any:  # noqa: ARG002  (Faust's signature)
        return message.value


class ConsentApp(faust.App):
    """Group membership, agents and supervision are Faust's; positions, rows and writes are ours."""

    logger = logging.getLogger("faust.app")
    positions: Ownership

    def __init__(self, settings: Settings, reached: Reached) -> None:
        self.settings = settings
        self._reached = reached
        self._identity: Genesis | None = None
        self._policies = PolicyFollower(settings)
        self._log_writer: LogWriter | None = None
        super().__init__(
            f"{settings.topic_prefix}{GROUP}",
            broker=[f"consentry://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
            processing_guarantee="at_least_once",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            worker_redirect_stdouts=False,
            stream_wait_empty=False,
            stream_buffer_maxsize=STREAM_BUFFER_BATCHES,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=settings.worker_id or None,
            broker_max_poll_records=settings.batch_records,
            broker_commit_interval=1.0,
            broker_session_timeout=settings.session_timeout_ms / 1000,
            broker_heartbeat_interval=settings.session_timeout_ms / 3000,
            broker_rebalance_timeout=settings.restore_timeout_ms / 1000,
            broker_request_timeout=max(40.0, settings.restore_timeout_ms / 1000 + 1),
        )

    def _create_directories(self) -> None:
        """Faust keeps its tables there, and we declare none: nothing is written where the worker is started."""

    async def on_start(self) -> None:
        """Before anything is consumed: refuse a wrong topic, know the log and the policies. Raises UntrustedLog."""
        self._identity = await require_topics(self.settings)
        await self._policies.start()
        self._log_writer = LogWriter(self.settings, self._identity)
        await self._log_writer.start()
        doors = {
            self.settings.topic(f"consent-intake.{producer}"): IntakeDoor(
                producer,
                self.settings,
                self._identity,
                self._log_writer,
                policies=lambda: self._policies.policies,
                wait_for_policies=self._policies.wait_for_a_policy,
            )
            for producer in intake_producers(self.settings)
        }

        async def handle_intake(topic: str, records: Sequence[Any]) -> None:
            await doors[topic].handle(records)

        self.positions = Ownership(
            self.settings,
            self._identity,
            handle_intake=handle_intake,
            seek_back=cast(Consumer, self.consumer).seek_back,
            fatal=end_process,
            reached=self._reached,
        )
        await super().on_start()
        self.add_future(self._beat())
        self.add_future(self._watch())
        gc.collect()
        gc.freeze()  # what is there now stays for as long as the worker
        gc.set_threshold(*GC_THRESHOLDS)

    async def on_stop(self) -> None:
        await super().on_stop()
        if self._log_writer is not None:
            await self.positions.stop()
            await self._log_writer.stop()
        await self._policies.stop()

    async def take_assignment(self) -> None:
        """A rebalance is complete. Whatever fails here must not be folded over: the process ends."""
        try:
            async with asyncio.timeout(self.settings.restore_timeout_ms / 1000):
                await self.positions.assign({TP(tp.topic, tp.partition) for tp in self.consumer.assignment()})
        except Exception as fault:  # of any kind: an unknown state must not be served
            end_process(fault)

    async def _beat(self) -> None:
        try:
            await Heartbeats(self.settings, self.positions).run()
        except asyncio.CancelledError:
            raise
        except Exception as fault:  # of any kind: without heartbeats the worker is of no use
            end_process(fault)

    async def _watch(self) -> None:
        """End a worker whose rebalance never ends: its partitions would stay without an owner."""
        since: float | None = None
        limit_s = self.settings.restore_timeout_ms / 1000 * 2
        while not self.should_stop:
            await self.sleep(1.0)
            since = (since or time.monotonic()) if self.rebalancing else None
            if since is not None and time.monotonic() - since > limit_s:
                end_process(ConsentryError(f"the rebalance did not end within {limit_s:.0f} s"))
            if self._policies.failure is not None:
                end_process(self._policies.failure)


def intake_producers(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.intake_producers.split(",") if name.strip()]


def create_app(settings: Settings, reached: Reached = nothing) -> ConsentApp:
    """The app with its agents. `reached` is called at each stage of a batch; fault tests end the process in it."""
    app = ConsentApp(settings, reached)
    topics = [settings.topic("consent-events")]
    topics += [settings.topic(f"consent-intake.{producer}") for producer in intake_producers(settings)]

    async def hand_over(stream: Any) -> None:
        async for event in stream.noack().events():

            async def ack(event: Any = event) -> object:
                return await stream.ack(event)

            tp = TP(event.message.topic, event.message.partition)
            await app.positions.put(tp, Batch(event.value, ack))

    for topic in topics:  # an agent for each, so that one producer's full inbox holds up no other, and not the folding
        app.agent(app.topic(topic, schema=RawSchema()), name=topic)(hand_over)

    async def taken(*_: Any, **__: Any) -> None:
        await app.take_assignment()

    async def held(*_: Any, **__: Any) -> None:
        await app.positions.hold()

    app.on_partitions_revoked.connect(held)
    app.on_rebalance_complete.connect(taken)

    return app


def end_process(fault: BaseException) -> None:
    """End at once, before anything is acked. A supervisor starts the worker again."""
    log.critical("worker.ended", extra={"error": f"{type(fault).__name__}: {fault}"})
    logging.shutdown()
    sys.stderr.flush()
    os._exit(EXIT_FATAL)


def run_worker(settings: Settings, reached: Reached = nothing) -> int:
    """Run a worker until SIGTERM or SIGINT. The exit code: 0, or 1 where it could not start."""
    return asyncio.run(_run_worker(settings, reached))


async def _run_worker(settings: Settings, reached: Reached) -> int:
    configure_logging(settings.log_level)
    app = create_app(settings, reached)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await app.start()
    await app.wait_first(stop.wait())
    if app.crashed:
        end_process(app.crash_reason or ConsentryError("a service of the worker crashed"))
    await app.stop()
    return 0


def __getattr__(name: str) -> Any:
    """`faust -A streams.app worker` looks for `app`; made on demand, since an app needs its settings."""
    if name == "app":
        return create_app(load_settings())
    raise AttributeError(name)
