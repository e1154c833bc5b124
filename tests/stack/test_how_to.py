"""The how-to pages are run as they are written, and print what they say that they print."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import POLICIES, Child
from stack.living import Living, living_stack
from stack.pipelines import create, write

from consentry.testing import InMemoryConsentry
from consentry.testing.live import LiveConsentry

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
INDEX = PAGES.parent / "index.md"
BLOCK = re.compile(
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$(?:\n\n^```text\n(?P<prints>.*?)^```$)?", re.DOTALL | re.M
)
RUN_S = 240  # the first Go program of a machine compiles net/http


def blocks(page: str, language: str) -> list[tuple[str, str | None]]:
    """The code blocks of a page, each with what it is said to print, if it is."""
    found = BLOCK.finditer((PAGES / page).read_text(encoding="utf-8"))
    return [(match["code"], match["prints"]) for match in found if match["language"] == language]


@pytest.fixture(scope="module")
def living(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living_stack(kafka, tmp_path_factory.mktemp("living")) as stack:
        yield stack


def printed(living: Living, directory: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=directory, env=living.environment, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_page_is_in_the_index() -> None:
    index = INDEX.read_text(encoding="utf-8")
    assert [page.name for page in PAGES.glob("*.md") if f"(how-to/{page.name})" not in index] == []


PRINTING = [(page.name, *block) for page in sorted(PAGES.glob("*.md")) for block in blocks(page.name, "python")]
PRINTING = [(page, code, prints) for page, code, prints in PRINTING if prints is not None]


@pytest.mark.stack
@pytest.mark.parametrize(("page", "code", "prints"), PRINTING)
def test_a_script_prints_what_its_page_says(living: Living, tmp_path: Path, page: str, code: str, prints: str) -> None:
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    assert printed(living, tmp_path, sys.executable, "script.py") == prints


@pytest.mark.stack
def test_a_shell_asks(living: Living, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    ((code, prints),) = blocks("ask-from-any-language.md", "sh")
    assert printed(living, tmp_path, "bash", "-c", code) == prints


@pytest.mark.stack
def test_node_asks(living: Living, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no Node here")
    ((code, prints),) = blocks("ask-from-any-language.md", "js")
    (tmp_path / "ask.mjs").write_text(code, encoding="utf-8")
    assert printed(living, tmp_path, "node", "ask.mjs") == prints


@pytest.mark.stack
def test_go_asks(living: Living, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no Go here")
    ((code, prints),) = blocks("ask-from-any-language.md", "go")
    (tmp_path / "ask.go").write_text(code, encoding="utf-8")
    assert printed(living, tmp_path, "go", "run", "ask.go") == prints


@pytest.mark.stack
async def test_a_topic_is_filtered(living: Living, tmp_path: Path) -> None:
    code = blocks("filter-a-topic.md", "python")[0][0]
    (tmp_path / "filter.py").write_text(code, encoding="utf-8")
    with living.client() as client:
        world = LiveConsentry(client, policy_version=1)
        ada = await asyncio.to_thread(
            lambda: world.person("account:howto").gives("recommendation.personalised", data="behaviour")
        )
    await create(living.settings, "howto-clicks")
    click = {"at": 1, "watched": "a film", "wrote": "a poem", "new": "?"}
    await write(
        living.settings, "howto-clicks", [{"account": ada.subject, **click}, {"account": "account:no", **click}]
    )
    child = Child(living.settings, tmp_path / "filter.log", "filter.py", cwd=tmp_path)
    try:
        while len(lines := [line for line in child.output.splitlines() if line.startswith("{")]) < 2:
            assert child.process.poll() is None, child.output
            await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(child.stop)
    hidden = {"at": 1, "wrote": None, "new": None}
    assert [json.loads(line) for line in lines] == [
        {"account": ada.subject, "watched": "a film", **hidden},
        {"account": "account:no", "watched": None, **hidden},
    ]


@pytest.mark.parametrize("place", [1, 2], ids=["fastapi", "starlette"])
async def test_a_route_is_guarded_and_answers_as_its_page_says(place: int) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(blocks("guard-a-route.md", "python")[place][0], names)
    app = names["app"]
    ((problem, _),) = blocks("guard-a-route.md", "json")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app", headers={"x-account": "ada"}) as client:
        assert (await client.get("/articles")).status_code == 403  # there is no replica yet
        app.state.replica = InMemoryConsentry(POLICIES / "reference-v1.yaml")
        denied = await client.get("/articles")
        assert (denied.status_code, denied.json()) == (403, json.loads(problem))
        app.state.replica.person("account:ada").gives("recommendation.personalised")
        assert (await client.get("/articles")).json()["because"]


def test_a_faust_pipeline_is_declared_as_its_page_says() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(blocks("filter-a-topic.md", "python")[1][0], names)
    assert names["mask"].channel is names["clicks"]


def test_the_tests_of_a_service_hold_as_they_are_written(tmp_path: Path) -> None:
    conftest, *tests = [code for code, _ in blocks("test-your-service.md", "python")]
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_service.py").write_text("\n".join(tests), encoding="utf-8")
    shutil.copy(POLICIES / "reference-v1.yaml", tmp_path / "policy.yaml")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout


def test_the_steps_that_a_person_can_take_are_those_that_the_page_names() -> None:
    from consentry.testing import Expectation, Person

    page = (PAGES / "test-your-service.md").read_text(encoding="utf-8")
    for kind, others in ((Person, {"does_all", "asks", "answer", "loses_guardian", "reaffirms"}), (Expectation, set())):
        public = {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}
        untold = {name for name in public if f"`{name}`" not in page and f"`{name}(" not in page}
        assert untold - others - {"is_asked", "is_invalidated"} == set()
