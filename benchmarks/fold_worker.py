"""Under test: Consentry's worker as it is. It only says when it had the first record in hand."""

import logging
import sys
import time

from benchmarks.children import Said, end_with_parent, say
from consentry.settings import load_settings
from streams.app import run_worker
from streams.processors import Stage


class Begin:
    """Says once that the first batch is being folded."""

    def __init__(self) -> None:
        self._said = False

    def reached(self, stage: Stage) -> None:
        if not self._said and stage is Stage.DECODED:
            self._said = True
            say(Said(event="began", at=time.time_ns() // 1_000_000))


if __name__ == "__main__":
    end_with_parent()
    logging.basicConfig(level=logging.INFO)
    sys.exit(run_worker(load_settings(), Begin().reached))
