"""The examples that services start from, each run as it stands, against a real stack."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from running import WAIT_S, Child
from stack.living import Living, free_port, living_stack, wait_until
from stack.pipelines import create, read, write

from consentry.testing.live import LiveConsentry

pytestmark = pytest.mark.stack

SERVICES = Path(__file__).parents[2] / "examples" / "services"
MAX_LINES = 80


@pytest.fixture(scope="module")
def living(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living_stack(kafka, tmp_path_factory.mktemp("living")) as stack:
        yield stack


@pytest.fixture(scope="module")
def world(living: Living) -> Iterator[LiveConsentry]:
    with living.client() as client:
        yield LiveConsentry(client, policy_version=1)


@pytest.mark.parametrize("file", sorted(SERVICES.glob("*.py")), ids=lambda file: file.name)
def test_an_example_fits_on_a_page(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < MAX_LINES


def eventually(holds: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, child.output
        assert child.process.poll() is None, child.output
        time.sleep(0.05)


def test_the_location_service_collects_with_consent_alone_and_deletes_after_a_withdrawal(
    living: Living, world: LiveConsentry, tmp_path: Path
) -> None:
    port = free_port()
    command = ("-m", "uvicorn", "--factory", "location_service:create_app", "--port", str(port))
    child = Child(living.settings, tmp_path / "service.log", *command, cwd=SERVICES)
    try:
        wait_until(f"http://127.0.0.1:{port}/openapi.json", child)
        ada = world.person("account:example-1").permits("location")
        headers = {"x-account": ada.subject.removeprefix("account:"), "x-screen": "map"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as app:

            def post() -> httpx2.Response:
                return app.post("/positions", json={"latitude": 52.5, "longitude": 13.4})

            eventually(lambda: post().json()["reason"] == "NO_CONSENT", child)
            assert app.get("/positions").json() == []
            ada.gives("recommendation.nearby")
            eventually(lambda: post().status_code == 201, child)
            (kept,) = app.get("/positions").json()
            assert (len(kept["evidence"]), kept["position"].startswith("e1.")) == (1, True)
            ada.withdraws("recommendation.nearby")
            eventually(lambda: app.get("/positions").json() == [], child)
            assert (post().status_code, post().json()["reason"]) == (403, "WITHDRAWN")
    finally:
        child.stop()


async def test_the_pipeline_masks_what_people_have_not_agreed_to(
    living: Living, tmp_path: Path, world: LiveConsentry
) -> None:
    await create(living.settings, "app-clicks", "analytics-clicks")
    ada = await asyncio.to_thread(
        lambda: world.person("account:example-2").gives("recommendation.personalised", data="behaviour")
    )
    clicks = [
        {"account": who, "at": at, "watched": "a film", "wrote": "a poem", "e-mail": "x@example.org"}
        for at, who in enumerate((ada.subject, "account:nobody", ada.subject))
    ]
    await write(living.settings, "app-clicks", clicks)
    command = ("-m", "faust", "-A", "masked_analytics", "worker", "-l", "info")
    child = Child(living.settings, tmp_path / "pipeline.log", *command, cwd=SERVICES)
    try:
        masked = await read(living.settings, "analytics-clicks", 3, child)
    finally:
        await asyncio.to_thread(child.stop)
    hidden = {"wrote": None, "e-mail": None}
    assert masked == [
        {"account": ada.subject, "at": 0, "watched": "a film", **hidden},
        {"account": "account:nobody", "at": 1, "watched": None, **hidden},
        {"account": ada.subject, "at": 2, "watched": "a film", **hidden},
    ]


def run_batch(living: Living, subjects: list[str], **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "push_batch.py"],
        cwd=SERVICES,
        env={**living.environment, **changes},
        input="\n".join(subjects) + "\n",
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def test_the_nightly_job_prints_those_alone_who_agreed(living: Living, world: LiveConsentry) -> None:
    agreed = world.person("account:example-3").gives("push.personalised").subject
    others = [f"account:example-nobody-{number}" for number in range(250)]
    deadline = time.monotonic() + WAIT_S
    while True:
        done = run_batch(living, [*others[:125], agreed, *others[125:]])
        if "STALE" not in done.stderr or time.monotonic() > deadline:  # where a busy machine holds heartbeats back
            break
    assert (done.returncode, done.stdout.split()) == (0, [agreed]), done.stderr
    assert done.stderr.splitlines() == ["NO_CONSENT: 250", "CONSENT: 1"]


def test_the_nightly_job_says_so_when_it_could_not_find_out(living: Living) -> None:
    done = run_batch(living, ["account:example-3"], CONSENTRY_NODE_URL=f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (3, "", "unreachable: 1")


def run_suite(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments, "."]
    done = subprocess.run(
        command, cwd=SERVICES, env=environment, capture_output=True, text=True, timeout=2 * WAIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_services_own_tests_hold_in_memory() -> None:
    assert "6 passed" in run_suite(dict(os.environ))


def test_the_services_own_tests_hold_on_a_real_stack_but_for_what_moves_the_clock(living: Living) -> None:
    assert "5 passed, 1 skipped" in run_suite(living.environment, "--consentry-live")
