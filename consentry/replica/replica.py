"""ConsentReplica: asks and answers in this process, and denies when it cannot prove how fresh it is."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

from consentry.decision import Decision, Request, View, decide
from consentry.errors import ConsentryError, Unavailable, UndecodableRecord, UntrustedLog
from consentry.events import Genesis
from consentry.intake.asked import in_the_logs_names, of_a_known_type
from consentry.partition import partition_of
from consentry.policy import Policies
from consentry.replica.compact import expand_row
from consentry.replica.feeder import Feeder
from consentry.replica.freshness import clock_name, monotonic_ms
from consentry.replica.head import Snapshot
from consentry.replica.home import Home, leave_home, open_home
from consentry.replica.store import Store
from consentry.replica.subscribers import Subscriber
from consentry.settings import Settings
from consentry.state.row import SubjectState, Watermark
from consentry.terms import Position

log = logging.getLogger(__name__)

LOOK_S = 0.005
"""how often a process that does not feed the copy looks whether it has moved, while somebody waits for that"""
TURN_S = 0.25
"""how soon such a process notices that nobody feeds it any more"""
TELL_S = 0.02
"""how soon it hands on what changed"""
AGAIN_S = 2.0
"""after it tried to, and could not"""
CHECK_MS = 50
"""a check that took longer was interrupted, and is made again: meanwhile its view has grown old"""
CHECK_TRIES = 3
NO_POLICIES = Policies()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ConsentReplica:
    """A copy of consent-state and policy-revisions, for all processes of a host that name the same `replica_dir`.

    One of them feeds it, by a task of its event loop; the others read what it writes, and one of those takes over when
    it ends. `start` makes this process one that may feed; `open` is for one that only reads, and needs no event loop.
    Without `replica_dir` the copy is this process's own. `check` is synchronous; threads may share it, and forks.

    `identity` is the genesis of the log as the caller has verified it; without one the replica takes that of
    policy-revisions.
    """

    def __init__(self, settings: Settings, identity: Genesis | None = None) -> None:
        self._settings = settings
        self._identity = identity
        self._home: Home | None = None
        self._feeder: Feeder | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._subscribers: set[Subscriber] = set()
        self._decoded: dict[str, tuple[bytes, SubjectState]] = {}
        self._checked: Snapshot | None = None
        self._told_of: Store | None = None
        self._told_next = 0
        """of the changes that another process notes in that store"""
        self._stopped = False

    def open(self) -> None:
        """Read what another process of this host feeds. Until one does, everything is denied.

        Raises ConsentryError without `replica_dir`, or where it cannot be used.
        """
        if not self._settings.replica_dir:
            raise ConsentryError("there is nothing to open", where="replica_dir", remedy="set CONSENTRY_REPLICA_DIR")
        if self._home is None:
            self._home = open_home(self._settings)

    async def start(self) -> None:
        """Feed the copy, or read what another process feeds, once it is complete; take over when that one ends.

        Raises UntrustedLog, UndecodableRecord, Unavailable.
        """
        if self._home is None:
            self._home = open_home(self._settings)
        try:
            async with asyncio.timeout(self._settings.restore_timeout_ms / 1000):
                while not await self._feed_if_free(self._home):
                    if self._is_complete(self._home.snapshot()):
                        break
                    await asyncio.sleep(TURN_S)
        except TimeoutError as fault:
            raise Unavailable(
                f"no complete replica within {self._settings.restore_timeout_ms} ms: {self.not_ready_because}",
                remedy="look at the process that feeds it, or raise restore_timeout_ms",
            ) from fault
        self._keeping = asyncio.create_task(self._keep(self._home), name="replica")

    async def _feed_if_free(self, home: Home) -> bool:
        if not home.become_feeder():
            return False
        self._tell_changes(home)  # the last that the former feeder noted
        feeder = Feeder(
            self._settings,
            home,
            self._identity,
            on_change=self._publish_change,
            on_lost=self._close_subscribers,
            on_moved=self._feeder_moved,
        )
        self._feeder = feeder
        try:
            await feeder.start()
        except BaseException:
            self._feeder = None
            home.stop_feeding()
            raise
        self._identity = feeder.identity
        return True

    def _feeder_moved(self) -> None:
        self._moved.set()
        if self._feeder is not None and self._feeder.failure is not None:
            self._close_subscribers(self._feeder.failure)

    def _close_subscribers(self, fault: ConsentryError | None = None) -> None:
        for subscriber in self._subscribers:
            missed = "changes were missed: the copy was made anew, or this process slept"
            subscriber.close(fault or ConsentryError(missed, remedy="start again from the state as it is now"))

    async def _keep(self, home: Home) -> None:
        """While another process feeds, tell what it changed; take over when it ends."""
        turn_at = time.monotonic()
        while self._feeder is None:
            try:
                if time.monotonic() >= turn_at:
                    turn_at = time.monotonic() + TURN_S
                    if await self._feed_if_free(home):
                        log.info("replica.feeds")
                        return
                self._tell_changes(home)
                await asyncio.sleep(TELL_S if self._subscribers else TURN_S)
            except ConsentryError as fault:
                log.error("replica.not_fed", extra={"error": str(fault)})
                turn_at = time.monotonic() + AGAIN_S

    def _tell_changes(self, home: Home) -> None:
        """Hand on what another process noted since it was last looked at."""
        if not self._subscribers:
            return
        found = home.changes_since(self._told_next, self._told_of)
        if found is None:
            self._close_subscribers()
            return
        keys, self._told_next = found
        for key in keys:
            self._publish_change(key)

    async def stop(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        feeder, self._feeder = self._feeder, None
        if feeder is not None:
            await feeder.stop()
            if self._home is not None:
                self._home.stop_feeding()
        self.close()

    def close(self) -> None:
        """What `open` opened. A replica that was started is stopped instead."""
        home, self._home = self._home, None
        if home is not None:
            leave_home(home)
        self._stopped = True
        for subscriber in self._subscribers:
            subscriber.close()

    # what is known

    @property
    def feeds(self) -> bool:
        """Whether it is this process that feeds the copy."""
        return self._feeder is not None and self._home is not None and self._home.feeds

    @property
    def identity(self) -> Genesis:
        """Of the log. Raises UntrustedLog where it is not known yet."""
        identity = self._known_identity()
        if identity is None:
            raise UntrustedLog("the replica has not started")
        return identity

    @property
    def policies(self) -> Policies:
        snapshot = self._snapshot()
        return NO_POLICIES if snapshot is None else snapshot.policies

    @property
    def ready(self) -> bool:
        return not self.not_ready_because

    @property
    def not_ready_because(self) -> str:
        """Why nothing is allowed here, or "" when the replica is complete and trusts what it follows."""
        feeder = self._feeder
        if feeder is not None and (feeder.failure is not None or feeder.trouble):
            return str(feeder.failure or feeder.trouble)
        snapshot = self._home.snapshot() if self._home is not None else None
        if snapshot is None:
            return (self._home.trouble if self._home is not None else "") or "the state is still being read"
        head = snapshot.head
        if head.failure:
            return head.failure
        if not self._is_ours(snapshot):
            return "the replica on this host is of another log, or of another epoch of it"
        if not head.complete:
            return "the state is still being read"
        if not snapshot.policies.revisions:
            return "no policy has been published"
        if head.clock != clock_name():
            return "the replica was fed on another machine, or before this one was started anew"
        for partition, held in enumerate(head.partitions):
            if held.proof is not None and held.proof.heard.behind_ms > self._settings.clock_tolerance_ms:
                return "this machine's clock is behind the broker's"
            if snapshot.age_ms(partition, 0, 0) is None:
                return f"partition {partition} has no heartbeat of this log: does a worker run?"
        return ""

    @property
    def watermarks(self) -> dict[int, Watermark]:
        snapshot = self._snapshot()
        heads = enumerate(snapshot.head.partitions if snapshot is not None else ())
        return {partition: held.watermark for partition, held in heads if held.watermark is not None}

    @property
    def subjects(self) -> int:
        """How many subjects the replica holds."""
        snapshot = self._snapshot()
        return 0 if snapshot is None else snapshot.head.rows

    def subjects_after(self, subject: str, limit: int) -> tuple[str, ...]:
        """The next subjects held here, by name (as bytes); "" begins. At the most `limit`, fewer only at the end."""
        if self._snapshot() is None or self._home is None:
            return ()
        return tuple(key.decode(errors="replace") for key in self._home.keys_after(subject.encode(), limit))

    def staleness_ms(self, partition: int, now: int | None = None) -> int | None:
        """How old the rows of a partition can be at the most, the policies too; None when nothing proves it."""
        snapshot = self._snapshot()
        if snapshot is None or partition >= len(snapshot.head.partitions):
            return None
        return snapshot.age_ms(partition, _now_ms() if now is None else now, monotonic_ms())

    def _snapshot(self) -> Snapshot | None:
        """None, too, where the copy is not of our log."""
        snapshot = self._home.snapshot() if self._home is not None else None
        return snapshot if snapshot is not None and self._is_ours(snapshot) else None

    def _is_ours(self, snapshot: Snapshot) -> bool:
        if snapshot is self._checked:
            return True
        genesis, identity = snapshot.head.genesis, self._identity
        ours = identity is None or (genesis.log_id, genesis.epoch, genesis.partitions) == (
            identity.log_id,
            identity.epoch,
            identity.partitions,
        )
        if ours:
            self._checked = snapshot
        return ours

    def _is_complete(self, snapshot: Snapshot | None) -> bool:
        return snapshot is not None and snapshot.head.complete and self._is_ours(snapshot)

    # answers

    def view(self, subject: str, now: int | None = None) -> View:
        """What is known of the subject here and now. A row that cannot be read is known as nothing, and stale."""
        return self._view(subject, _now_ms() if now is None else now)[0]

    def check(self, request: Request, now: int | None = None) -> Decision:
        """The answer, at `now` (ms; by default this machine's clock).

        By plain names, as callers know them; a name that is none, or of a type that the policy does not know, gets a
        DENY, as from a query node.
        """
        identity = self._known_identity()
        if identity is not None:
            request = in_the_logs_names(request, identity, self._settings)
        for _ in range(CHECK_TRIES):
            began_at = monotonic_ms()
            at = _now_ms() if now is None else now
            view, policies = self._view(request.subject, at)
            asked = of_a_known_type(request, policies.in_force(at))
            decision = decide(view, policies, asked, at)
            if monotonic_ms() - began_at <= CHECK_MS:
                return decision
        return decide(View(row=view.row, position=view.position, staleness_ms=None), policies, asked, at)

    def _known_identity(self) -> Genesis | None:
        """The one that was given or fed; else the copy's."""
        if self._identity is not None:
            return self._identity
        snapshot = None if self._home is None else self._home.snapshot()
        return None if snapshot is None else snapshot.head.genesis

    def _view(self, subject: str, now: int) -> tuple[View, Policies]:
        snapshot, held = None, None
        key = subject.encode()
        if self._home is not None:
            snapshot, held = self._home.read(key)
        monotonic_now = monotonic_ms()  # after it was read: an age is never told as less than it is
        if snapshot is None or not self._is_ours(snapshot):
            return self._nothing(subject), NO_POLICIES
        heads = snapshot.head.partitions
        row = None
        if held is None:
            partition = partition_of(subject, len(heads))
        else:
            try:
                row = self._expanded(subject, key, held)
            except UndecodableRecord as fault:
                partition = partition_of(subject, len(heads))
                log.error("row.undecodable", extra={"partition": partition, "error": str(fault)})
                return View(row=None, position=_reached(snapshot, partition), staleness_ms=None), snapshot.policies
            partition = row.position.partition
        age_ms = snapshot.age_ms(partition, now, monotonic_now)
        return View(row=row, position=_reached(snapshot, partition), staleness_ms=age_ms), snapshot.policies

    def _nothing(self, subject: str) -> View:
        identity = self._identity
        if identity is None:
            return View(row=None, position=Position(0, 0, -1), staleness_ms=None)
        position = Position(identity.epoch, partition_of(subject, identity.partitions), -1)
        return View(row=None, position=position, staleness_ms=None)

    def _expanded(self, subject: str, key: bytes, held: bytes) -> SubjectState:
        decoded = self._decoded.get(subject)
        if decoded is not None and decoded[0] == held:
            return decoded[1]
        state = expand_row(key, held)
        if state.subject != subject:
            raise UndecodableRecord("the copy of a row is another subject's")
        if self._settings.replica_decoded_rows:
            if len(self._decoded) >= self._settings.replica_decoded_rows:
                self._decoded.clear()
            self._decoded[subject] = (held, state)
        return state

    # changes

    async def wait_for(self, position: Position, timeout_ms: int) -> bool:
        """True once the view includes the record at `position`; False when the time is over, or never will be."""
        identity = self.identity
        if position.epoch != identity.epoch or not 0 <= position.partition < identity.partitions:
            return False
        until = time.monotonic() + timeout_ms / 1000
        while not self._has_reached(position):
            left = until - time.monotonic()
            if left <= 0:
                return False
            await self._wait_moved(left)
        return True

    async def _wait_moved(self, left_s: float) -> None:
        """Until the copy may have changed, and no longer than that."""
        if self._feeder is None:
            await asyncio.sleep(min(LOOK_S, left_s))
            return
        self._moved.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._moved.wait()

    def _has_reached(self, position: Position) -> bool:
        snapshot = self._snapshot()
        return snapshot is not None and _reached(snapshot, position.partition) >= position

    async def changes(self) -> AsyncGenerator[SubjectState, None]:
        """Each change of a subject's state as it becomes visible here, from now on.

        It is handed on before the watermark that covers it is seen in `watermarks`, or well within a second after that,
        unless this process is held up: a watcher's place to resume at rests on it.

        Ends when the replica is stopped. Raises what made the replica fail, and ConsentryError when this subscriber
        lags so far behind that changes were lost to it. Where another process feeds the copy, `start` must have been
        called, and of several changes of a subject that came together the last is told.
        """
        failure = self._feeder.failure if self._feeder is not None else None
        if self._home is not None and self._feeder is None and not self._subscribers:
            snapshot = self._snapshot()
            self._told_of, self._told_next = self._home.store, 0 if snapshot is None else snapshot.head.changes_next
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            if self._stopped or failure is not None:
                subscriber.close(failure)
            while (state := await subscriber.next()) is not None:
                yield state
        finally:
            self._subscribers.discard(subscriber)

    def _publish_change(self, key: bytes) -> None:
        if not self._subscribers:
            return
        try:
            state = self._view(key.decode(), 0)[0].row
        except UnicodeDecodeError as fault:
            log.error("row.undecodable", extra={"error": str(fault)})
            return
        for subscriber in self._subscribers:
            if state is not None:
                subscriber.hand_on(state)


def _reached(snapshot: Snapshot, partition: int) -> Position:
    watermark = snapshot.head.partitions[partition].watermark
    return Position(snapshot.head.genesis.epoch, partition, -1) if watermark is None else watermark.position
