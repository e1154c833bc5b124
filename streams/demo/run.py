"""run_demo: start all, play the story, check every answer, show what an audit finds, clean up."""

import time
from uuid import uuid4

from consentry.settings import Settings
from consentry.terms import Position
from streams.demo.afterwards import show_what_to_try, wait_until_interrupted
from streams.demo.doors import Doors, Written
from streams.demo.interruption import CleanUp, interruptible
from streams.demo.looking_back import answers_around
from streams.demo.narrator import Narrator, short
from streams.demo.revising import Versions
from streams.demo.script import Chapter, Expected, Step, Story, load_story
from streams.demo.stack import Stack, running_stack

SEEN_TIMEOUT_S = 15.0


def run_demo(settings: Settings, *, keep: bool, story: Story | None = None) -> int:
    """0 when every answer was as the story expects it, else 1. `keep` leaves all running until Ctrl-C.

    Of `settings` the Kafka to use counts; without one it starts one of its own. Raises ConsentryError where
    something cannot be started, Interrupted on SIGINT, SIGTERM and SIGHUP; whatever it raises, nothing of it goes on
    running.
    """
    story = story or load_story()
    narrator = Narrator(story.policy.wording)
    with interruptible() as interruption, CleanUp(interruption) as exits:
        with narrator.waiting():
            stack = exits.enter_context(running_stack(settings, story, narrator, interruption))
        narrator.progress("ready")
        play = Play(story, stack, narrator)
        play.play()
        _show_end(play, narrator)
        if keep:
            show_what_to_try(stack, story, narrator, position_before=str(play.position_before_audit))
            wait_until_interrupted(stack)
        narrator.progress("stopping")
    return 1 if play.wrong else 0


class Play:
    """The story on a running stack, and how many answers were not what it expects."""

    def __init__(self, story: Story, stack: Stack, narrator: Narrator) -> None:
        self._story = story
        self._stack = stack
        self._narrator = narrator
        self._versions = Versions(stack, story.policy)
        self._written: dict[str, str] = {}
        """subject -> position of its last event: what its next answer must have seen"""
        self._named: dict[str, str] = {}
        """name of a step -> position of its event"""
        self.checked = 0
        self.wrong = 0

    @property
    def position_before_audit(self) -> Position:
        """Just before the step that the audit is about."""
        position = Position.parse(self._named[self._story.audit.step])
        return position._replace(offset=position.offset - 1)

    def play(self) -> None:
        self._narrator.policy(self._story.policy, self._versions.first)
        with Doors(self._stack.settings) as doors:
            for number, chapter in enumerate(self._story.chapters, start=1):
                self._chapter(number, chapter, doors)
        self._look_back(len(self._story.chapters) + 1)

    def _chapter(self, number: int, chapter: Chapter, doors: Doors) -> None:
        self._narrator.heading(number, chapter.title, chapter.says)
        for step in chapter.steps:
            self._stack.require_running()
            self._step(step, doors)

    def _step(self, step: Step, doors: Doors) -> None:
        if step.happens is not None:
            self._happen(step, doors)
        elif step.publishes is not None:
            revised = self._versions.publish(step.publishes)
            self._narrator.published(step.says, revised.version, revised.instead, revised.publication, revised.changes)
        elif step.in_force is not None:
            revised = self._versions.wait_until_in_force(step.in_force, doors, self._narrator)
            self._narrator.in_force(step.says, step.in_force, revised.version.wording)
        else:
            self._ask(step, doors)

    def _happen(self, step: Step, doors: Doors) -> None:
        body = step.body(uuid4(), time.time_ns() // 1_000_000)
        assert step.happens is not None
        subject = str(step.happens["subject"])
        written, took_ms = doors.happened(body, self._written.get(subject))
        self._named[step.name] = written.position
        seen = self._stack.subscriber.wait_for_line(
            lambda line: line.startswith(f"{written.position} "), SEEN_TIMEOUT_S
        )
        self._written[subject] = written.position
        wrong = step.effect is not None and written.effect not in (step.effect, None)  # None: it took too long
        self.wrong += wrong
        expected = f"expected: {step.effect}" if wrong else ""
        self._narrator.event(step.says, step.happens, _outcome(written, took_ms), seen, expected)

    def _ask(self, step: Step, doors: Doors) -> None:
        assert step.ask is not None
        assert step.expect is not None
        answer = doors.may(step.ask, self._written.get(step.ask.subject))
        self._count(correct=Expected.of(answer) == step.expect)
        self._narrator.answer(step.says, step.ask, answer, step.expect)

    def _look_back(self, number: int) -> None:
        audit = self._story.audit
        self._narrator.heading(number, audit.title, audit.says)
        self._narrator.question(audit.ask)
        before, after = answers_around(self._stack, audit, self._named[audit.step])
        for when, found, expected in (("before", before, audit.before), ("after", after, audit.after)):
            self._count(correct=Expected.of(found.answer) == expected)
            events = f"{found.folded} events replayed, {found.left_out} that came later left out"
            self._narrator.as_of(f"{when} the {audit.step}: {events}", found.answer, expected)

    def _count(self, *, correct: bool) -> None:
        self.checked += 1
        self.wrong += not correct


def _outcome(written: Written, took_ms: float) -> str:
    effect = "" if written.effect is None else f", {written.effect}"
    return f"event {short(written.event_id)} at {written.position}{effect}, in the state after {took_ms:.0f} ms"


def _show_end(play: Play, narrator: Narrator) -> None:
    narrator.say()
    if play.wrong:
        narrator.say(f"{play.wrong} of {play.checked} answers were not as the story expects them.", "bold red")
    else:
        narrator.say(
            f"All {play.checked} answers were as the policy demands, {narrator.seconds:.1f} s after the start.", "bold"
        )
