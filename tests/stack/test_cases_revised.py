"""Cases of a revised policy over HTTP on a real Kafka: published, told in its time, in force, and heeded.

One revision stands for those of many cases: each changes a line of its own, so that none bears on another's question.
Events from before it takes effect are sent before, the others when it has.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from casebook import Case, cases_of, milliseconds, patched, revised
from msgspec.structs import replace
from running import make_topics, run, settings_for
from stack.test_cases import PATIENCE_S, Played, ask_all, assert_told, send_in_rounds, stage
from stack.test_query import now_ms
from unit.story import DOCUMENT, TEXT, answer_to, history_of

from consentry.settings import Settings

pytestmark = pytest.mark.stack

DAY = "P10D"
"""when the revisions of the cases take effect, after their start"""
LEAST_NOTICE_MS = 2_000
REVISION: dict[str, Any] = {
    "at": DAY,
    "clauses": {"1.1.1.a": "material"},
    "change": {
        "purposes/interaction.follow/basis": "necessity",
        "purposes/recommendation.city/opt_out": None,
        "purposes/partner.login/form": "deidentified",
        "purposes/search.service/opt_out": True,
        "purposes/ads.delivery/recipients/third_party": ["adnet", "adx", "adnew"],
        "exemptions/g/operations": ["collect", "store", "use", "share"],
        "exemptions/g/leaving": "3.4.d",
        "data/camera_image/sensitive": None,
    },
}


def _is_told_here(case: Case) -> bool:
    """Its change is among those of the one revision, none of the others bears on it, and it hangs on nothing else."""
    if len(case.revisions) != 1 or case.terms or case.announced or case.when.keys() & {"staleness", "min_position"}:
        return False
    (revision,) = case.revisions
    parts = [(name, *one) for name in ("clauses", "change") for one in revision.get(name, {}).items()]
    if any(path not in REVISION[name] or REVISION[name][path] != value for name, path, value in parts):
        return False
    if milliseconds(case.when.get("at", "PT0S")) < milliseconds(DAY):
        return False
    if any("valid_for" in told.fields for told in case.given):
        return False
    together = replace(case, revisions=(REVISION,))
    answer = answer_to(together, history_of(together))
    return (answer.reason, answer.clause) == (case.then["reason"], case.then["clause"])


CASES = [case for case in cases_of("8-revisions") if _is_told_here(case)]


@pytest.fixture(scope="module")
def played(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    cases = [Played(case, f"account:ann-r{number}", []) for number, case in enumerate(CASES)]
    asyncio.run(_play(settings_for(kafka, f"revised-{now_ms()}."), tmp_path_factory.mktemp("revised"), cases))
    return {each.case.title: each for each in cases}


async def _play(settings: Settings, directory: Path, cases: list[Played]) -> None:
    await make_topics(settings)
    document = patched(DOCUMENT, {"notice_period": "P0D"})  # nobody waits for a week
    began = now_ms()
    _publish(settings, directory, document, TEXT)
    notice_ms = LEAST_NOTICE_MS + 3 * (now_ms() - began)  # as long as this machine needs to publish, and more
    async with stage(settings, directory) as on:
        await send_in_rounds(on, cases, _events_before)
        effective_at = (now_ms() + notice_ms) // 1_000 * 1_000
        await asyncio.to_thread(_publish, settings, directory, *revised(document, TEXT, 2, effective_at, REVISION))
        assert now_ms() < effective_at, "the machine is too slow to publish in time"
        await asyncio.sleep((effective_at - now_ms()) / 1_000 + 0.1)
        deadline = time.monotonic() + PATIENCE_S
        while not (await on.client.get("/v1/policies")).json()["revisions"][-1]["in_force"]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        await send_in_rounds(on, cases, lambda each: len(each.case.given))
        await ask_all(on, cases)


def _events_before(each: Played) -> int:
    """How many events of the case come before its revision takes effect."""
    day = milliseconds(DAY)
    return next(
        (place for place, told in enumerate(each.case.given) if milliseconds(told.fields.get("at", "PT0S")) >= day),
        len(each.case.given),
    )


def _publish(settings: Settings, directory: Path, document: str, text: str) -> None:
    policy, wording = directory / "policy.yaml", directory / "policy.txt"
    policy.write_text(document, encoding="utf-8")
    wording.write_text(text, encoding="utf-8")
    run(settings, "policy", "publish", str(policy), "--text", str(wording))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_revision_is_heeded_over_http(played: dict[str, Played], case: Case) -> None:
    assert_told(played[case.title])


def test_many_revisions_are_told_over_http(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        sys.stdout.write(f"\n{len(CASES)} of {len(cases_of('8-revisions'))} cases of revisions over HTTP\n")
    assert len(CASES) >= 25
