"""The in-memory Consentry, for the tests of others: it must answer as a node would, to the last field."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
from contract.in_memory import Node

from consentry.answers import Doubt
from consentry.client import ConsentClient
from consentry.decision import Request
from consentry.errors import ConsentryError, InvalidEvent, InvalidPolicy, Unavailable
from consentry.events import ServiceDiscontinued
from consentry.intake import CallerRole
from consentry.settings import Secret, Settings
from consentry.terms import AgeBand, Effect, Form, Operation, Position, Reason
from consentry.testing import InMemoryConsentry, MovingClock, Person, World
from consentry.testing.live import LiveConsentry

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
REFERENCE = POLICIES / "reference-v1.yaml"
HOME = "recommendation.personalised"
Story = Callable[[Person], object]


@pytest.fixture
def consentry() -> InMemoryConsentry:
    return InMemoryConsentry(REFERENCE)


# each act, by its effect and what is answered after it; on both worlds

STORIES: dict[str, Story] = {
    "nothing": lambda ada: ada,
    "gives": lambda ada: ada.gives(HOME),
    "gives a part": lambda ada: ada.gives(HOME, data="behaviour", operations=Operation.USE),
    "withdraws": lambda ada: ada.gives(HOME).withdraws(HOME),
    "withdraws all": lambda ada: ada.gives(HOME).withdraws(),
    "gives again": lambda ada: ada.gives(HOME).withdraws(HOME).gives(HOME),
    "refuses": lambda ada: ada.is_asked(HOME, scene="start").refuses(HOME, scene="start"),
    "defers": lambda ada: ada.defers(HOME),
    "opts out": lambda ada: ada.gives(HOME).opts_out(HOME),
    "opts in again": lambda ada: ada.gives(HOME).opts_out(HOME).opts_in(HOME),
    "permits": lambda ada: ada.gives("recommendation.nearby").permits("location"),
    "forbids": lambda ada: ada.gives("recommendation.nearby").permits("location").forbids("location"),
    "permits on a device": lambda ada: ada.gives("recommendation.nearby").permits("location", device="d-1"),
    "revoked": lambda ada: ada.gives(HOME).is_revoked(HOME),
    "invalidated": lambda ada: ada.gives(HOME).is_invalidated(),
    "reaffirms": lambda ada: ada.gives(HOME).reaffirms(HOME),
    "accepts": lambda ada: ada.accepts_policy(),
    "objects": lambda ada: ada.gives(HOME).objects(HOME),
    "closes": lambda ada: ada.gives(HOME).closes_account(),
    "a minor alone": lambda ada: ada.has_verified_age(band=AgeBand.MINOR).gives(HOME),
    "a minor and a guardian": lambda ada: (
        ada.has_verified_age(band=AgeBand.MINOR)
        .has_guardian("account:gus")
        .accepts_policy(by="account:gus")
        .gives(HOME)
        .gives(HOME, by="account:gus")
    ),
    "a guardian stops": lambda ada: (
        ada.says_age(birth_date="2015-05-05")
        .has_guardian("account:gus")
        .accepts_policy(by="account:gus")
        .gives(HOME, by="account:gus")
        .withdraws(HOME, by="account:gus")
    ),
    "a guardian leaves": lambda ada: (
        ada.says_age(birth_date="2015-05-05").has_guardian("account:gus").loses_guardian("account:gus")
    ),
}
QUESTIONS = [
    (Operation.USE, "behaviour", HOME, {}),
    (Operation.COLLECT, ("behaviour", "posted_content"), HOME, {}),
    (Operation.COLLECT, "gps_precise", "recommendation.nearby", {"active": True}),
    (Operation.COLLECT, "gps_precise", "recommendation.nearby", {"active": True, "device": "d-1"}),
    (Operation.USE, "search_log", "search.service", {}),
    (Operation.SHARE, "usage_statistics", "analytics.usage", {"recipient": "statco", "form": Form.DEIDENTIFIED}),
    (Operation.COLLECT, "phone", "no.such", {}),
]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_story_is_answered_in_memory_as_by_a_node(story: Story) -> None:
    told: list[tuple[object, ...]] = []
    node = Node()
    memory = InMemoryConsentry(REFERENCE, clock=MovingClock(node.log.now))
    transport = httpx2.ASGITransport(node.api)
    with ConsentClient("http://node", token="all", transport=transport, clock=node.log.clock) as client:
        live = LiveConsentry(client, policy_version=1)
        live.clock = TickingClock(node)  # type: ignore[assignment]
        for world in (memory, live):
            told.append(answers_after(story, world))
    assert told[0] == told[1]


class TickingClock:
    """The node's clock, moved by each event as the one in memory is."""

    def __init__(self, node: Node) -> None:
        self._log = node.log

    def __call__(self) -> int:
        self._log.now += 1
        return self._log.now


def answers_after(story: Story, world: World) -> tuple[object, ...]:
    """All that can be compared: ids, places and times are each world's own."""
    ada = Person(world, "account:ada")
    story(ada)
    found: list[object] = [ada.effect]
    for operation, data, purpose, more in QUESTIONS:
        answer = ada.answer(ada.asks(operation, data, purpose=purpose, **more))
        results = [(each.data, each.allow, each.reason, each.clause) for each in answer.results]
        found.append((answer.allow, answer.reason, answer.clause, answer.basis, answer.status, answer.obligations))
        found.append((answer.prompt.may_ask, len(answer.evidence), answer.policy_version, answer.doubt, results))
    return tuple(found)


# what a test of a service moves


def test_time_moves_and_a_consent_ends(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada")
    ada.gives(HOME, valid_until=consentry.clock() + 3_600_000)
    request = ada.asks("use", "behaviour", purpose=HOME)
    assert ada.answer(request).allow
    consentry.clock.advance(minutes=59)
    assert ada.answer(request).allow
    consentry.clock.advance(minutes=1)
    assert ada.answer(request).reason is Reason.EXPIRED


def test_after_a_refusal_time_has_to_pass_before_the_next_question(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").refuses(HOME)
    request = ada.asks("use", "behaviour", purpose=HOME)
    assert not consentry.prompt(request).may_ask
    consentry.clock.advance(hours=48)
    assert consentry.prompt(request).may_ask


def test_a_clock_moves_forward_only() -> None:
    clock = MovingClock(1_000)
    assert clock.advance(seconds=2) == clock() == clock.now == 3_000
    assert clock.travel_to(datetime(2026, 1, 8, tzinfo=UTC)) == 1_767_830_400_000
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(days=-1)
    with pytest.raises(ValueError, match="time zone"):
        clock.travel_to(datetime(2027, 1, 8))


def test_state_that_is_too_old_allows_nothing_that_rests_on_consent(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    consentry.staleness_ms = 2_001
    assert ada.answer(ada.asks("use", "behaviour", purpose=HOME)).reason is Reason.STALE
    assert ada.answer(ada.asks("use", "search_log", purpose="search.service")).allow
    consentry.staleness_ms = None
    assert not ada.answer(ada.asks("use", "search_log", purpose="search.service")).allow


def test_what_is_held_back_is_not_visible_until_it_catches_up(consentry: InMemoryConsentry) -> None:
    consentry.hold_back()
    ada = consentry.person("account:ada").gives(HOME)
    request = ada.asks("use", "behaviour", purpose=HOME)
    assert (ada.effect, ada.answer(request).reason) == (None, Reason.NO_CONSENT)
    informed = msgspec.structs.replace(request, min_position=ada.position)
    assert ada.answer(informed).reason is Reason.NOT_YET_VISIBLE
    consentry.catch_up()
    assert ada.answer(informed).allow


@pytest.mark.parametrize("doubt", Doubt)
def test_a_test_can_say_that_nobody_answers(consentry: InMemoryConsentry, doubt: Doubt) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    consentry.doubt = doubt
    answer = ada.answer(ada.asks("use", "behaviour", purpose=HOME))
    assert (answer.allow, answer.doubt, answer.reason) == (False, doubt, Reason.STALE)
    with pytest.raises(Unavailable):
        ada.withdraws(HOME)
    consentry.doubt = None
    assert ada.answer(ada.asks("use", "behaviour", purpose=HOME)).allow


def test_a_revision_is_published_and_takes_effect_when_its_time_has_come() -> None:
    clock = MovingClock(1_767_830_400_000)
    consentry = InMemoryConsentry(REFERENCE, clock=clock)
    ada = consentry.person("account:ada").gives(HOME)
    consentry.publish_policy(POLICIES / "reference-v2.yaml")
    assert (consentry.policy_version, ada.answer(ada.asks("use", "behaviour", purpose=HOME)).allow) == (1, True)
    clock.travel_to(consentry.policies.revisions[1].effective_at)
    assert consentry.policy_version == 2
    assert ada.answer(ada.asks("use", "behaviour", purpose=HOME)).policy_version == 2


def test_a_revision_that_may_not_be_published_is_refused_here_too(consentry: InMemoryConsentry) -> None:
    with pytest.raises(InvalidPolicy, match="version 1 follows 1"):
        consentry.publish_policy(REFERENCE)


def test_a_service_can_be_said_to_end(consentry: InMemoryConsentry) -> None:
    now = consentry.clock()
    ended = ServiceDiscontinued(
        event_id=consentry.log.identity.log_id, policy="newsfeed-app", occurred_at=now, effective_at=now + 1_000
    )
    consentry.declare(ended)
    ada = consentry.person("account:ada")
    request = ada.asks("use", "search_log", purpose="search.service")
    assert ada.answer(request).allow
    consentry.clock.advance(seconds=1)
    assert ada.answer(request).reason is Reason.SERVICE_DISCONTINUED


def test_a_policy_given_as_text_is_as_good_as_a_file() -> None:
    consentry = InMemoryConsentry(REFERENCE.read_text(encoding="utf-8"))
    assert consentry.person("account:ada").gives(HOME).effect is Effect.APPLIED


# as a client of it


def test_what_intake_refuses_is_refused(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada")
    with pytest.raises(InvalidEvent) as fault:
        ada.gives("no.such")
    assert (fault.value.status, fault.value.code) == (422, "NOT_IN_POLICY")
    with pytest.raises(InvalidEvent, match="this one is not"):
        ada.has_guardian("account:gus", verified=False).gives(HOME, by="account:gus")


def test_a_service_without_the_role_may_not_send_it() -> None:
    consentry = InMemoryConsentry(REFERENCE, roles=[CallerRole.PRODUCER])
    ada = consentry.person("account:ada").gives(HOME)
    with pytest.raises(InvalidEvent) as fault:
        ada.is_revoked(HOME)
    assert fault.value.status == 403


def test_an_event_that_is_published_again_is_one_and_another_content_is_a_conflict(
    consentry: InMemoryConsentry,
) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    event = consentry.log.appended[0].event
    again = consentry.publish(msgspec.structs.replace(event, producer=""), wait_ms=10)
    assert (again.position, again.effect) == (ada.position, Effect.UNCHANGED)
    with pytest.raises(InvalidEvent) as fault:
        consentry.publish(msgspec.structs.replace(event, producer="", data=("behaviour",)))
    assert fault.value.status == 409
    keyed = msgspec.structs.replace(event, producer="")
    one, other = (consentry.publish(keyed, idempotency_key="job-7") for _ in range(2))
    assert one == other
    assert len(consentry.log.appended) == 2


def test_what_was_published_long_ago_is_known_as_well(consentry: InMemoryConsentry) -> None:
    """A row knows its last 32 events, a node what it has appended."""
    ada = consentry.person("account:ada").gives(HOME)
    event = msgspec.structs.replace(consentry.log.appended[0].event, producer="")
    for _ in range(33):
        ada.opts_out(HOME)
    assert consentry.publish(event, wait_ms=10).effect is Effect.UNCHANGED
    with pytest.raises(InvalidEvent) as fault:
        consentry.publish(msgspec.structs.replace(event, data=("behaviour",)))
    assert (fault.value.status, fault.value.code) == (409, "EVENT_ID_CONFLICT")


def test_in_a_list_who_withdraws_all_but_one_keeps_that_one(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").gives(HOME).gives("publish.content")
    stop = ada._act(type(consentry.log.appended[0].event), None, purpose=HOME, policy_version=1, expression="separate")
    withdrawal = consentry.person("account:ben").withdraws() and consentry.log.appended[-1].event
    own = msgspec.structs.replace(
        withdrawal, subject=ada.subject, actor=stop.actor, producer="", event_id=consentry.log.identity.log_id
    )
    ada.does_all(own, msgspec.structs.replace(stop, occurred_at=own.occurred_at))
    assert ada.answer(ada.asks("use", "behaviour", purpose=HOME)).allow
    assert ada.answer(ada.asks("use", "nickname", purpose="publish.content")).reason is Reason.WITHDRAWN


@pytest.mark.parametrize("subject", ["u-1", "account:", "account:+4915112345678", "account:a b"])
def test_a_subject_that_a_node_would_not_take_is_not_taken_here(consentry: InMemoryConsentry, subject: str) -> None:
    request = Request(subject=subject, operation=Operation.USE, purpose="search.service", data=("search_log",))
    answer = consentry.check(request)
    assert (answer.allow, answer.doubt) == (False, Doubt.REFUSED)


def test_a_type_of_subject_that_the_policy_does_not_know_is_denied(consentry: InMemoryConsentry) -> None:
    request = Request(subject="robot:r-1", operation=Operation.USE, purpose="search.service", data=("search_log",))
    assert consentry.check(request).reason is Reason.DATA_NOT_COVERED


def test_a_position_of_another_partition_is_refused(consentry: InMemoryConsentry) -> None:
    own = consentry.person("account:ada").gives(HOME).position
    assert own is not None
    elsewhere = Position(1, (own.partition + 1) % 4, 0)
    request = Request(
        subject="account:ada", operation=Operation.USE, purpose=HOME, data=("behaviour",), min_position=elsewhere
    )
    assert consentry.check(request).doubt is Doubt.REFUSED


def test_hashed_ids_are_found_by_their_plain_names() -> None:
    consentry = InMemoryConsentry(REFERENCE, settings=Settings(subject_pepper=Secret("a pepper")))
    ada = consentry.person("account:ada").gives(HOME)
    assert ada.answer(ada.asks("use", "behaviour", purpose=HOME)).allow
    assert consentry.log.subjects()[0].startswith("account:h1:")


async def test_code_that_awaits_its_client_is_answered_the_same(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    request = ada.asks("use", "behaviour", purpose=HOME)
    event = msgspec.structs.replace(consentry.log.appended[0].event, producer="")
    async with consentry.awaited as client:
        assert await client.check(request) == consentry.check(request)
        assert await client.check_many([request, request]) == consentry.check_many([request, request])
        assert await client.prompt(request) == consentry.prompt(request)
        assert (await client.publish(event)).position == ada.position
        assert [each.position for each in await client.publish_all([event])] == [ada.position]


def test_a_real_stack_has_no_clock_to_move() -> None:
    with ConsentClient("http://node") as client, pytest.raises(ConsentryError, match="cannot be moved"):
        LiveConsentry(client, policy_version=1).clock.advance(days=1)
