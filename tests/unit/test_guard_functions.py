"""A guarded function runs where it may, and otherwise nothing of it has run."""

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consentry import ConsentDenied, Operation, Position, Reason, Request, requires_consent
from consentry.answers import Doubt
from consentry.decision import Decision
from consentry.errors import ConsentryError
from consentry.guard import AsyncChecker, Checker
from consentry.testing import InMemoryConsentry

REFERENCE = Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml"
HOME = "recommendation.personalised"


@pytest.fixture
def consentry() -> InMemoryConsentry:
    return InMemoryConsentry(REFERENCE)


def guarded(checker: Any, ran: list[str], **more: Any) -> Callable[..., str]:
    @requires_consent(checker, **{"purpose": HOME, "data": "behaviour", "operation": "use", "subject": "who", **more})
    def recommend(who: str, count: int = 3) -> str:
        """Recommends."""
        ran.append(who)
        return f"{count} for {who}"

    return recommend


def test_it_runs_with_consent_and_gives_what_it_gives(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    recommend = guarded(consentry, [])
    assert recommend("account:ada", count=5) == "5 for account:ada"
    assert recommend(who="account:ada") == "3 for account:ada"


def test_without_consent_nothing_of_it_runs_and_the_reason_is_told(consentry: InMemoryConsentry) -> None:
    ran: list[str] = []
    consentry.person("account:ada").gives(HOME).withdraws(HOME)
    with pytest.raises(ConsentDenied, match=r"WITHDRAWN, clause 6\.2\.1: may not use behaviour") as denied:
        guarded(consentry, ran)("account:ada")
    assert ran == []
    assert denied.value.decision.reason is Reason.WITHDRAWN
    assert denied.value.request.subject == "account:ada"
    assert "ada" not in str(denied.value)


def test_it_asks_each_time_anew(consentry: InMemoryConsentry) -> None:
    ada = consentry.person("account:ada").gives(HOME)
    recommend = guarded(consentry, [])
    recommend("account:ada")
    ada.withdraws(HOME)
    with pytest.raises(ConsentDenied):
        recommend("account:ada")


async def test_a_coroutine_is_guarded_by_whom_it_awaits_and_by_whom_it_need_not(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    for checker in (consentry, consentry.awaited):

        @requires_consent(checker, purpose=HOME, data="behaviour", operation=Operation.USE, subject="who")
        async def recommend(who: str) -> str:
            return who

        assert inspect.iscoroutinefunction(recommend)
        assert await recommend("account:ada") == "account:ada"
        with pytest.raises(ConsentDenied):
            await recommend("account:ben")


async def test_a_checker_that_blocks_does_not_hold_up_the_event_loop() -> None:
    class Blocking:
        blocks = True

        def check(self, _request: Request) -> Decision:
            seen.append(threading.current_thread())
            raise TimeoutError

    seen: list[threading.Thread] = []

    @requires_consent(Blocking(), purpose=HOME, data="behaviour", operation="use", subject="who")
    async def recommend(who: str) -> str:
        return who

    with pytest.raises(ConsentDenied):
        await recommend("account:ada")
    assert seen[0] is not threading.main_thread()


class Raising:
    def check(self, _request: Request) -> Decision:
        raise RuntimeError("the checker is broken")


class Saying:
    """A checker that gives something else than a decision."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def check(self, _request: Request) -> Any:
        return self.answer


class Awaited:
    async def check(self, _request: Request) -> Any:
        return True


@pytest.mark.parametrize(
    "checker",
    [Raising(), Saying(answer=True), Saying(None), Saying("ALLOW"), Saying({"allow": True}), Awaited()],
    ids=["raises", "true", "none", "text", "mapping", "a coroutine"],
)
def test_a_checker_that_fails_or_gives_no_decision_denies(checker: object) -> None:
    ran: list[str] = []
    with pytest.raises(ConsentDenied) as denied:
        guarded(checker, ran)("account:ada")
    assert ran == []
    assert denied.value.decision.doubt is Doubt.BROKEN  # type: ignore[attr-defined]


async def test_a_coroutine_believes_no_more() -> None:
    for checker in (Raising(), Saying(answer=True), Awaited()):

        @requires_consent(checker, purpose=HOME, data="behaviour", operation="use", subject="who")
        async def recommend(who: str) -> str:
            return who

        with pytest.raises(ConsentDenied):
            await recommend("account:ada")


def test_an_allow_that_contradicts_itself_is_not_believed(consentry: InMemoryConsentry) -> None:
    import msgspec

    ada = consentry.person("account:ada")
    denied = ada.answer(ada.asks("use", "behaviour", purpose=HOME))
    with pytest.raises(ConsentDenied):
        guarded(Saying(msgspec.structs.replace(denied, allow=True)), [])("account:ada")


def test_the_checker_may_be_made_after_the_function(consentry: InMemoryConsentry) -> None:
    made: list[InMemoryConsentry] = []
    recommend = guarded(lambda: made[0], [])
    with pytest.raises(ConsentDenied):  # there is none yet
        recommend("account:ada")
    made.append(consentry)
    consentry.person("account:ada").gives(HOME)
    assert recommend("account:ada")


def test_the_subject_may_be_made_of_the_calls_arguments(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives(HOME)
    recommend = guarded(consentry, [], subject=lambda who, **_: f"account:{who}")
    assert recommend("ada") == "3 for ada"
    with pytest.raises(ConsentDenied):
        recommend("ben")


@pytest.mark.parametrize("subject", [None, "", 7, b"account:ada"])
def test_without_a_subject_nothing_runs(consentry: InMemoryConsentry, subject: object) -> None:
    ran: list[str] = []
    with pytest.raises(ConsentryError, match="a subject is text"):
        guarded(consentry, ran)(subject)
    assert ran == []


def test_what_bears_on_the_question_is_asked(consentry: InMemoryConsentry) -> None:
    asked: list[Request] = []

    class Noting:
        def check(self, request: Request) -> Decision:
            asked.append(request)
            return consentry.check(request)

    @requires_consent(
        Noting(),
        purpose="recommendation.nearby",
        data=["gps_precise", "base_station"],
        operation=Operation.COLLECT,
        subject="who",
        active=lambda who, screen: screen == "map",  # noqa: ARG005
        device=lambda who, screen: "d-1",  # noqa: ARG005
        min_position=Position(1, 2, 3),
        joined_with_identity=False,
        recipient="nobody",
    )
    def locate(who: str, screen: str) -> None: ...

    with pytest.raises(ConsentDenied):
        locate("account:ada", "map")
    assert asked == [
        Request(
            subject="account:ada",
            operation=Operation.COLLECT,
            purpose="recommendation.nearby",
            data=("gps_precise", "base_station"),
            active=True,
            device="d-1",
            min_position=Position(1, 2, 3),
            joined_with_identity=False,
            recipient="nobody",
        )
    ]


def test_a_guard_that_cannot_work_is_told_when_it_is_made(consentry: InMemoryConsentry) -> None:
    with pytest.raises(ConsentryError, match="no parameter whom"):
        guarded(consentry, [], subject="whom")
    with pytest.raises(ValueError, match="peek"):
        guarded(consentry, [], operation="peek")
    with pytest.raises(ConsentryError, match="nothing to allow"):
        guarded(consentry, [], data=[])

    async def numbers(who: str) -> AsyncIterator[int]:
        yield len(who)

    with pytest.raises(ConsentryError, match="asynchronous generator"):
        requires_consent(consentry, purpose=HOME, data="behaviour", operation="use", subject="who")(numbers)


def test_a_generator_is_guarded_before_it_begins(consentry: InMemoryConsentry) -> None:
    @requires_consent(consentry, purpose=HOME, data="behaviour", operation="use", subject="who")
    def numbers(who: str) -> Iterator[int]:
        yield len(who)

    with pytest.raises(ConsentDenied):
        numbers("account:ada")
    consentry.person("account:ada").gives(HOME)
    assert list(numbers("account:ada")) == [11]


def test_a_method_is_guarded_like_a_function(consentry: InMemoryConsentry) -> None:
    class Feed:
        @requires_consent(consentry, purpose=HOME, data="behaviour", operation="use", subject="who")
        def recommend(self, who: str) -> str:
            return who

    with pytest.raises(ConsentDenied):
        Feed().recommend("account:ada")
    consentry.person("account:ada").gives(HOME)
    assert Feed().recommend("account:ada") == "account:ada"


def test_a_guarded_function_keeps_its_name_and_what_it_says_of_itself(consentry: InMemoryConsentry) -> None:
    recommend = guarded(consentry, [])
    assert (recommend.__name__, recommend.__doc__) == ("recommend", "Recommends.")


def test_all_that_answers_is_a_checker(consentry: InMemoryConsentry) -> None:
    from consentry import AsyncConsentClient, ConsentClient, ConsentReplica, Settings

    for each in (consentry, ConsentReplica(Settings()), ConsentClient("http://node")):
        assert isinstance(each, Checker)
    for each in (consentry.awaited, AsyncConsentClient("http://node")):
        assert isinstance(each, AsyncChecker)


@pytest.mark.parametrize(
    ("of_what", "said"),
    [
        ("active", "false"),
        ("active", 0),
        ("active", None),
        ("joined_with_identity", "false"),
        ("joined_with_identity", 0),
    ],
)
def test_what_is_true_or_false_is_not_read_out_of_text(consentry: InMemoryConsentry, of_what: str, said: Any) -> None:
    consentry.person("account:ada").gives(HOME)
    ran: list[str] = []
    with pytest.raises(ConsentryError, match="True or False"):
        guarded(consentry, ran, **{of_what: lambda who, count=3: said})("account:ada")  # noqa: ARG005
    assert ran == []
