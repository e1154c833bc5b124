"""consent_filter: what passes of another topic's records, by the consent of whom each is about."""

import dataclasses
from pathlib import Path
from typing import Any

import faust
import msgspec
import pytest

from consentry import Request, consent_filter
from consentry.answers import Doubt
from consentry.decision import Decision
from consentry.errors import ConsentryError
from consentry.guard import ConsentFilter
from consentry.guard.records import dropped_at
from consentry.terms import Form, Reason
from consentry.testing import InMemoryConsentry

REFERENCE = Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml"
HOME = "recommendation.personalised"
FIELDS = {"viewed": "behaviour", "wrote": "posted_content"}
RECORD = {"account": "account:ada", "at": 7, "viewed": "a film", "wrote": "a poem"}


@pytest.fixture
def consentry() -> InMemoryConsentry:
    return InMemoryConsentry(REFERENCE)


async def no_sleep(_seconds: float) -> None: ...


def filter_of(checker: Any, **more: Any) -> ConsentFilter[Any]:
    asks: dict[str, Any] = {
        "purpose": HOME,
        "operation": "use",
        "subject": lambda record: record["account"],
        "fields": FIELDS,
        "keeps": ("account", "at"),
        "sleep": no_sleep,
    }
    return consent_filter(checker, **{**asks, **more})


async def test_with_consent_a_record_passes_as_it_is(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    keep = filter_of(consentry)
    assert (await keep.weigh(RECORD)).record is RECORD
    assert (keep.counts.passed, keep.counts.masked, keep.counts.dropped) == (1, 0, 0)


async def test_each_field_passes_by_the_consent_to_its_own_data(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME, data="behaviour")
    keep = filter_of(consentry)
    assert (await keep.weigh(RECORD)).record == {**RECORD, "wrote": None}
    assert RECORD["wrote"] == "a poem"  # the record itself is left alone
    assert keep.counts.fields == {"wrote": 1}
    assert keep.counts.reasons == {"NO_CONSENT": 1}


async def test_without_consent_all_that_is_somebodys_is_masked(consentry: InMemoryConsentry) -> None:
    keep = filter_of(consentry)
    assert (await keep.weigh(RECORD)).record == {"account": "account:ada", "at": 7, "viewed": None, "wrote": None}


async def test_a_field_that_is_not_listed_does_not_pass(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    keep = filter_of(consentry)
    added = {**RECORD, "e-mail": "ada@example.org"}
    assert (await keep.weigh(added)).record == {**RECORD, "e-mail": None}
    only = {"account": "account:ada", "e-mail": "ada@example.org"}
    assert (await keep.weigh(only)).record == {"account": "account:ada", "e-mail": None}


async def test_a_record_is_asked_only_about_what_it_holds(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME, data="behaviour")
    keep = filter_of(consentry, denied="drop")
    record = {"account": "account:ada", "viewed": "a film", "wrote": None}
    assert (await keep.weigh(record)).record is record
    nothing = {"account": "account:ben", "at": 7}
    assert (await keep.weigh(nothing)).record is nothing


async def test_to_drop_is_to_pass_nothing_of_a_record_of_which_a_part_is_denied(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME, data="behaviour")
    keep = filter_of(consentry, denied="drop")
    weighed = await keep.weigh(RECORD)
    assert weighed.record is None
    assert (keep.counts.dropped, keep.counts.reasons) == (1, {"NO_CONSENT": 1})
    told = dropped_at("clicks", 3, 812, weighed.decision)
    assert (told.topic, told.partition, told.offset, told.reason, told.clause) == (
        "clicks",
        3,
        812,
        Reason.NO_CONSENT,
        "P-1",
    )
    assert "poem" not in repr(told)
    assert "ada" not in repr(told)


async def test_a_whole_record_may_be_of_one_kind(consentry: InMemoryConsentry) -> None:
    keep = filter_of(consentry, fields=None, keeps=(), data="behaviour", subject=lambda line: line.split()[0])
    assert (await keep.weigh("account:ada viewed a film")).record is None
    consentry.person("account:ada").gives(HOME)
    assert (await keep.weigh("account:ada viewed a film")).record == "account:ada viewed a film"


@dataclasses.dataclass
class AsDataclass:
    account: str
    viewed: str | None = None
    wrote: str | None = None


class AsStruct(msgspec.Struct, frozen=True):
    account: str
    viewed: str | None = None
    wrote: str | None = None


class AsFaustRecord(faust.Record):  # type: ignore[misc]  # Faust has no types
    account: str
    viewed: str | None = None
    wrote: str | None = None


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsFaustRecord])
async def test_records_of_every_usual_kind_are_masked_and_keep_their_kind(
    consentry: InMemoryConsentry, kind: Any
) -> None:
    consentry.person("account:ada").gives(HOME, data="behaviour")
    keep = filter_of(consentry, subject=lambda record: record.account)
    passed = (await keep.weigh(kind(account="account:ada", viewed="a film", wrote="a poem"))).record
    assert type(passed) is kind
    assert (passed.account, passed.viewed, passed.wrote) == ("account:ada", "a film", None)


@pytest.mark.parametrize(
    "record",
    [
        {"viewed": "a film"},
        {"account": None, "viewed": "a film"},
        {"account": "", "viewed": "a film"},
        {"account": 7, "viewed": "a film"},
        {"account": ["account:ada"], "viewed": "a film"},
        {"account": "ada", "viewed": "a film"},
    ],
)
async def test_a_record_of_nobody_is_denied(consentry: InMemoryConsentry, record: dict[str, Any]) -> None:
    consentry.person("account:ada").gives(HOME)
    masked, dropped = filter_of(consentry), filter_of(consentry, denied="drop")
    passed = (await masked.weigh(record)).record
    assert passed is not None
    assert passed["viewed"] is None
    weighed = await dropped.weigh(record)
    assert weighed.record is None
    assert dropped_at("clicks", 0, 0, weighed.decision).doubt is Doubt.REFUSED


@pytest.mark.parametrize("record", [7, "a line", [RECORD], b"\x00", True])
async def test_a_record_without_fields_stops_nothing_and_does_not_pass(
    consentry: InMemoryConsentry, record: object
) -> None:
    consentry.person("account:ada").gives(HOME)
    keep = filter_of(consentry)
    assert (await keep.weigh(record)).record is None
    assert keep.counts.dropped == 1


class Becoming:
    """A checker whose state is too old for the first answers."""

    def __init__(self, world: InMemoryConsentry, late: int) -> None:
        self.world = world
        self.late = late
        self.asked = 0

    def check(self, request: Request) -> Decision:
        self.asked += 1
        self.world.staleness_ms = 60_000 if self.asked <= self.late else 0
        return self.world.check(request)


async def test_a_record_waits_for_fresher_state_as_long_as_patience_lasts(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    soon = filter_of(Becoming(consentry, 5), patience_ms=1_000)
    assert (await soon.weigh(RECORD)).record is RECORD
    assert (soon.counts.waited, soon.counts.passed) == (1, 1)
    never = Becoming(consentry, 10_000)
    late = filter_of(never, patience_ms=1_000, denied="drop")
    assert (await late.weigh(RECORD)).record is None
    assert late.counts.reasons == {"STALE": 1}
    assert never.asked == 21  # once, and every 50 ms
    at_once = Becoming(consentry, 10_000)
    await filter_of(at_once, patience_ms=0).weigh(RECORD)
    assert at_once.asked == 1


@pytest.mark.parametrize(("age_ms", "asked"), [(2_000, 1), (2_001, 2), (None, 2)])
async def test_a_deny_by_old_state_is_asked_again_before_a_record_is_lost(
    consentry: InMemoryConsentry, age_ms: int | None, asked: int
) -> None:
    """As of a replica that is still reading: whom it does not know yet has agreed to nothing."""

    class Reading:
        asked = 0

        def check(self, request: Request) -> Decision:
            self.asked += 1
            consentry.staleness_ms = age_ms if self.asked == 1 else 0
            if self.asked == 2:
                consentry.person("account:ada").gives(HOME)
            return consentry.check(request)

    checker = Reading()
    keep = filter_of(checker, denied="drop")
    passed = (await keep.weigh(RECORD)).record
    assert (checker.asked, passed) == (asked, RECORD if asked == 2 else None)


async def test_what_a_later_answer_cannot_change_is_not_waited_for(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").refuses(HOME)
    checker = Becoming(consentry, 0)
    await filter_of(checker).weigh(RECORD)
    assert checker.asked == 1


async def test_a_checker_that_raises_denies(consentry: InMemoryConsentry) -> None:
    class Raising:
        def check(self, _request: Request) -> Decision:
            raise RuntimeError("the checker is broken")

    keep = filter_of(Raising())
    assert (await keep.weigh(RECORD)).record == {"account": "account:ada", "at": 7, "viewed": None, "wrote": None}
    assert keep.counts.reasons == {"STALE": 1}


async def test_an_answer_about_other_data_masks_all(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    other = ada.answer(ada.asks("use", "behaviour", purpose=HOME))

    class Other:
        def check(self, _request: Request) -> Decision:
            return other

    assert (await filter_of(Other()).weigh(RECORD)).record == {**RECORD, "viewed": None, "wrote": None}


async def test_to_whom_and_in_which_form_it_goes_is_asked_too(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives("analytics.usage", recipients="statco")
    asks: dict[str, Any] = {
        "purpose": "analytics.usage",
        "operation": "share",
        "fields": {"viewed": "usage_statistics"},
        "keeps": ("account",),
    }
    record = {"account": "account:ada", "viewed": 7}
    stated = filter_of(consentry, **asks, recipient="statco", form=Form.DEIDENTIFIED)
    assert (await stated.weigh(record)).record is record
    for unstated in ({"recipient": "statco"}, {"form": Form.DEIDENTIFIED}):
        assert (await filter_of(consentry, **asks, **unstated).weigh(record)).record == {**record, "viewed": None}


async def test_what_is_in_use_is_told_by_the_record(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives("recommendation.nearby").permits("location")
    keep = filter_of(
        consentry,
        purpose="recommendation.nearby",
        operation="collect",
        fields={"where": "gps_precise"},
        keeps=("account", "screen"),
        active=lambda record: record["screen"] == "map",
    )
    on_the_map = {"account": "account:ada", "screen": "map", "where": "52.5 13.4"}
    assert (await keep.weigh(on_the_map)).record is on_the_map
    elsewhere = {**on_the_map, "screen": "feed"}
    assert (await keep.weigh(elsewhere)).record == {**elsewhere, "where": None}


def test_a_filter_is_told_either_fields_or_data(consentry: InMemoryConsentry) -> None:
    for told in ({"fields": None}, {"data": "behaviour"}):
        with pytest.raises(ConsentryError, match="either fields or data"):
            filter_of(consentry, **told)
    with pytest.raises(ConsentryError, match="nothing to allow"):
        filter_of(consentry, fields={})
