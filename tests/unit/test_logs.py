"""Logs: one line an event, and nothing in it that only a terminal understands."""

import subprocess
import sys

FROM_UVICORN = """
import logging
from streams.logs import configure_logging
configure_logging("info")
logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\\x1b[36mStarted\\x1b[0m", "port": 7})
"""


def test_a_log_line_holds_no_codes_for_terminals() -> None:
    done = subprocess.run([sys.executable, "-c", FROM_UVICORN], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith("level=info event=Started port=7")
