"""The demo as a person runs it: a child process, its output, its exit code, and what it leaves behind (nothing)."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.demo.script import STORY, Expected, Story, load_story

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="children are found through /proc"),
]

ROOT = Path(__file__).parents[2]
WAIT_S = 120.0
DEMO = (sys.executable, "-m", "streams.cli", "demo")
WITH_A_STORY = (
    "import sys; from pathlib import Path; from consentry.settings import load_settings; "
    "from streams.demo import run_demo; from streams.demo.script import load_story; "
    "sys.exit(run_demo(load_settings(), keep=False, story=load_story(Path(sys.argv[1]))))"
)


class Demo:
    """A running demo. All that descends from it carries its mark in the environment."""

    def __init__(self, directory: Path, command: tuple[str, ...], kafka: str) -> None:
        self.mark = f"DEMO_TEST={uuid.uuid4()}"
        self.home = directory / "tmp"
        self.home.mkdir()
        self._out, self._err = directory / "out", directory / "err"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
        environment |= {"TMPDIR": str(self.home), "DEMO_TEST": self.mark.partition("=")[2]}
        if kafka:
            environment["CONSENTRY_BOOTSTRAP_SERVERS"] = kafka
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    @property
    def shown(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def progress(self) -> str:
        return self._err.read_text(encoding="utf-8")

    @property
    def words(self) -> str:
        return " ".join(self.shown.split())

    def wait(self) -> int:
        return self.process.wait(WAIT_S)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while True:
            ended = self.process.poll() is not None  # before it is read: what it says last counts
            if text in self.shown + self.progress:
                return
            assert not ended, self.shown + self.progress
            assert time.monotonic() < deadline, self.shown + self.progress
            time.sleep(0.02)

    def living(self) -> dict[int, str]:
        """Process id -> command line of what still runs of it."""
        found = {}
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                environ = (process / "environ").read_bytes().split(b"\0")
                command = (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
            except OSError:  # it has ended, or is not ours
                continue
            if self.mark.encode() in environ and command:
                found[int(process.name)] = command
        return found

    def assert_nothing_is_left(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while self.living() or any(self.home.iterdir()):
            assert time.monotonic() < deadline, (self.living(), list(self.home.iterdir()))
            time.sleep(0.05)


@contextmanager
def demo(directory: Path, *arguments: str, kafka: str = "", command: tuple[str, ...] = DEMO) -> Iterator[Demo]:
    running = Demo(directory, (*command, *arguments), kafka)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()


def verdict(expected: Expected) -> str:
    return f"{'ALLOW' if expected.allow else 'DENY'} {expected.reason}"


def expected_of(story: Story) -> list[Expected]:
    steps = [step.expect for chapter in story.chapters for step in chapter.steps if step.expect is not None]
    return [*steps, story.audit.before, story.audit.after]


async def topics_of(kafka: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def test_the_demo_plays_its_story_on_a_given_kafka_and_ends_by_itself(kafka: str, tmp_path: Path) -> None:
    before = await topics_of(kafka)
    with demo(tmp_path, kafka=kafka) as running:
        assert running.wait() == 0, running.shown + running.progress
        running.assert_nothing_is_left()
    story = load_story()
    place = 0
    for expected in expected_of(story):
        for words in (verdict(expected), f"clause {expected.clause} “"):
            place = running.words.find(words, place)
            assert place >= 0, (words, running.shown)
    for chapter in story.chapters:
        assert chapter.title in running.words
        assert chapter.says in running.words
    assert_the_readme_shows_it(running.words)
    assert "publish.camera withdrawn; pictures: no (WITHDRAWN)" in running.words  # the subscriber
    assert "superseded" in running.words
    assert_it_says_in_what_its_policy_is_another(story, running.words)
    assert "\x1b" not in running.shown + running.progress
    assert "starting" not in running.shown  # progress has a stream of its own
    deadline = time.monotonic() + WAIT_S
    while left := {name for name in await topics_of(kafka) - before if name.startswith("demo-")}:
        assert time.monotonic() < deadline, left  # a broker hears of it a moment later


def assert_it_says_in_what_its_policy_is_another(story: Story, words: str) -> None:
    steps = (step for chapter in story.chapters for step in chapter.steps)
    versions = [story.policy, *(step.publishes for step in steps if step.publishes is not None)]
    for number, version in enumerate(versions, start=1):
        (notice,) = version.instead.items()
        place = (
            f"newsfeed-app version {number}: {version.document}, in words {version.text} but for {': '.join(notice)}"
        )
        assert place in words
    assert "material, asks again: recommendation.personalised: the wording of clause 1.2.a is other" in words


def assert_the_readme_shows_it(words: str) -> None:
    """What README quotes is what was printed, but for ids, positions and times."""
    (quoted,) = blocks("text")
    varies = re.compile(r"[0-9a-f]{8}|e1\.p\d+\.o\d+|\d+ ms")
    assert " ".join(varies.sub("~", quoted).split()) in varies.sub("~", words)


def test_without_a_kafka_it_starts_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for("Kafka listens on 127.0.0.1:")
        assert any("kafka.Kafka" in command for command in running.living().values())
        assert running.wait() == 0, running.shown + running.progress
        running.assert_nothing_is_left()
    assert "answers were as the policy demands" in running.words


def test_an_answer_that_is_not_the_expected_one_makes_it_fail(kafka: str, tmp_path: Path) -> None:
    text = (STORY / "story.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "story.yaml"
    wrong.write_text(text.replace("reason: REFUSED, clause: P-2", "reason: REFUSED, clause: P-3", 1), encoding="utf-8")
    with demo(tmp_path, str(wrong), kafka=kafka, command=(sys.executable, "-c", WITH_A_STORY)) as running:
        assert running.wait() == 1, running.shown + running.progress
        running.assert_nothing_is_left()
    assert "expected DENY REFUSED by clause P-3" in running.words
    answers = len(expected_of(load_story()))
    assert f"1 of {answers} answers were not as the story expects them" in running.words


def test_an_event_that_does_not_have_the_expected_effect_makes_it_fail(kafka: str, tmp_path: Path) -> None:
    text = (STORY / "story.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "story.yaml"
    wrong.write_text(text.replace("effect: superseded", "effect: applied"), encoding="utf-8")
    with demo(tmp_path, str(wrong), kafka=kafka, command=(sys.executable, "-c", WITH_A_STORY)) as running:
        assert running.wait() == 1, running.shown + running.progress
    assert "WRONG expected: applied" in running.words


def in_a_shell(exports: str, command: str, interrupt_after: Callable[[str], bool] | None = None) -> str:
    """What a command printed in a shell that has the variables; an endless one is interrupted."""
    printed = ""
    with subprocess.Popen(
        ["bash", "-c", f"{exports}\n{command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        for line in shell.stdout:
            printed += line
            if interrupt_after is not None and interrupt_after(printed):
                os.killpg(shell.pid, signal.SIGINT)
                break
    return printed


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_kept_it_runs_until_ctrl_c_and_all_that_it_and_the_readme_say_to_try_works(kafka: str, tmp_path: Path) -> None:
    with demo(tmp_path, "--keep", kafka=kafka) as running:
        running.wait_for("The API, to read:")
        running.wait_for("Logs of worker")
        exports = "\n".join(line for line in running.shown.splitlines() if line.startswith("export "))
        assert "CONSENTRY_BEARER_TOKEN=consentry_" in exports
        (curl,) = (block for block in blocks("sh") if "curl" in block)
        assert '"reason":"NECESSARY"' in in_a_shell(exports, curl)
        for code in blocks("python"):
            script = tmp_path / "readme.py"
            script.write_text(code, encoding="utf-8")
            assert in_a_shell(exports, f"{sys.executable} {script}").split() == ["True", "NECESSARY", "1.2.c"]
        for each in load_story().try_next:
            assert each.command.rstrip() in running.shown, "it is shown as it is to be copied"
            awaited = WHAT_IT_SHOWS[each.command.split()[1 if each.command.startswith("consentry") else 0]]
            until = (lambda printed: "watching" in printed) if each.endless else None
            assert re.search(awaited, in_a_shell(exports, each.command, until)), each.command
        os.kill(running.process.pid, signal.SIGINT)
        assert running.wait() == 0, running.progress
        running.assert_nothing_is_left()


WHAT_IT_SHOWS: Mapping[str, str] = {
    "check": r"^ALLOW  NECESSARY  clause 1\.2\.c\n(?s:.)*it needs no consent",
    "curl": r'"reason":"NECESSARY"|"effect":"applied"',
    "state": r"opted out +recommendation\.city",
    "audit": r"ALLOW +CONSENT",
    "policy": r"asks again: everybody who agreed",
    "watch": r"watching",
}

MOMENTS = (
    "starting 1 broker",
    "starting a worker",
    "waiting until the query node is ready",
    "1. A new device",
    "Version 2 is announced",
)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment_leaves_nothing_behind(moment: str, tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for(moment)
        while running.process.poll() is None:  # by somebody impatient; a terminal sends it to the whole group
            os.killpg(running.process.pid, signal.SIGINT)
            time.sleep(0.05)
        assert running.wait() == 130, running.shown + running.progress
        running.assert_nothing_is_left()
    assert "Traceback" not in running.progress


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_it_takes_its_children_along(moment: str, tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for(moment)
        running.process.kill()
        running.wait()
        deadline = time.monotonic() + WAIT_S
        while running.living():
            assert time.monotonic() < deadline, running.living()
            time.sleep(0.05)


def test_a_program_of_it_that_dies_is_reported_with_its_last_words(kafka: str, tmp_path: Path) -> None:
    with demo(tmp_path, "--keep", kafka=kafka) as running:
        running.wait_for("Logs of worker")
        programs = {pid: command for pid, command in running.living().items() if "watchdog" not in command}
        (worker,) = (pid for pid, command in programs.items() if command.endswith("streams.cli worker"))
        os.kill(worker, signal.SIGKILL)
        assert running.wait() == 3, running.progress
        running.assert_nothing_is_left()
    assert "worker: it ended by itself" in running.progress
