"""A new version of the policy: published in the course of the story, and waited for until it is in force."""

import time
from collections.abc import Mapping
from uuid import uuid4

import msgspec

from consentry.errors import Unavailable
from consentry.policy import Changes, Policy, changes_between, parse_policy
from consentry.settings import Settings
from streams.demo.children import POLL_S
from streams.demo.doors import Doors
from streams.demo.narrator import Narrator
from streams.demo.script import PolicyFiles, Publishing
from streams.demo.stack import Stack
from streams.policies import Publication, publish_revision

PATIENCE = 3
"""times as long as publishing the first version took: a busy machine needs the more time before one takes effect"""
LATE_S = 15.0
"""after its moment, for the node to say that it is in force"""


class Revised(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was published, and what it says that its file does not."""

    version: Publishing
    instead: Mapping[str, str]
    publication: Publication
    changes: Changes


class Versions:
    """The versions of the story, in their order."""

    def __init__(self, stack: Stack, first: PolicyFiles) -> None:
        self._stack = stack
        self.first: Policy = parse_policy(first.document_with(first.instead))
        self._last = self.first
        self._published: dict[int, Revised] = {}

    def publish(self, version: Publishing) -> Revised:
        """Raises InvalidPolicy, UntrustedLog, Unavailable, Interrupted."""
        now = time.time_ns() // 1_000_000
        effective_at = now + round(1_000 * (version.effective_in_s + PATIENCE * self._stack.publishing_took_s))
        instead = version.dated(now, effective_at)
        document = version.document_with(instead)
        policy = parse_policy(document)
        publication = self._stack.interruption.run(publish(self._stack.settings, document, version.wording, now))
        changes = changes_between(self._last, policy)
        revised = Revised(version=version, instead=instead, publication=publication, changes=changes)
        self._last = policy
        self._published[policy.version] = revised
        return revised

    def wait_until_in_force(self, number: int, doors: Doors, narrator: Narrator) -> Revised:
        """Raises Unavailable where the node does not say so in time, Interrupted."""
        revised = self._published[number]
        effective_at = revised.publication.effective_at / 1_000
        shown = 0  # seconds
        while doors.version_in_force() != number:
            self._stack.require_running()
            left = effective_at - time.time()
            if left < -LATE_S:
                raise Unavailable(f"version {number} is not in force {-left:.0f} s after its time", where="query node")
            if round(left) not in (0, shown):
                shown = round(left)
                narrator.progress(f"version {number} takes effect in {shown} s")
            time.sleep(POLL_S)
        return revised


async def publish(settings: Settings, document: str, wording: str, now: int) -> Publication:
    """As `consentry policy publish` does."""
    return await publish_revision(settings, document, wording, now=now, event_id=uuid4(), producer="consentry demo")
