"""A worker that kills itself, as `kill -9` would, when it reaches a stage for the n-th time.

`python failing_worker.py STAGE N`; all else is `consentry worker`.
"""

import os
import signal
import sys

from consentry.settings import load_settings
from streams.app import run_worker
from streams.processors import Stage


def kill_at(stage: Stage, count: int) -> int:
    left = count

    def reached(at: Stage) -> None:
        nonlocal left
        if at is stage:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return run_worker(load_settings(), reached)


if __name__ == "__main__":
    sys.exit(kill_at(Stage(sys.argv[1]), int(sys.argv[2])))
