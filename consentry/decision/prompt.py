"""May the person be asked now? Pure. Whoever is in doubt does not ask."""

from consentry.decision.answer import Prompt
from consentry.state.row import SubjectState
from consentry.terms import Status

_REFUSED = Status.REFUSED
NOT_NOW = Prompt(may_ask=False)
NOW = Prompt(may_ask=True)


def refused_at(row: SubjectState, purpose: str, scene: str | None = None) -> int | None:
    """When the last refusal of the purpose was recorded, of whichever of its cells.

    In this scene, or in one that was not said and so counts for all; without `scene` in whatever scene.
    """
    last: int | None = None
    for mark in row.marks:
        if (
            mark.status is _REFUSED
            and mark.scope.purpose in ("", purpose)
            and (scene is None or mark.scene in ("", scene))
        ):
            last = mark.recorded_at if last is None else max(last, mark.recorded_at)
    return last


def prompt_of(
    row: SubjectState | None,
    purpose: str,
    cooldown_ms: int,
    now: int,
    *,
    scene: str | None = None,
    user_initiated: bool = False,
) -> Prompt:
    """For a purpose that needs a consent which is not given. Source: `prompt_cooldown` of the policy.

    What the person starts may ask at once.
    """
    last = None if row is None or user_initiated else refused_at(row, purpose, scene)
    if last is None or now >= last + cooldown_ms:
        return NOW
    return Prompt(may_ask=False, ask_after=last + cooldown_ms)
