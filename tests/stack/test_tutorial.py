"""The tutorial is run as it is written, from its third step on: Kafka is there, and the port is a free one."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.broker.local import choose_ports

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial" / "first-decision.md").read_text(encoding="utf-8")
FIRST_STEP = "## 3."
ITS_PORT, ITS_POSITION = "8480", "e1.p7.o3"
WAIT_S = 180


def script(port: int) -> str:
    """The blocks as one script; the position that the tutorial gives as an example is the one that was printed."""
    text = TUTORIAL[TUTORIAL.index(FIRST_STEP) :]
    blocks = [block.replace(ITS_PORT, str(port)) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    (place,) = (number for number, block in enumerate(blocks) if ITS_POSITION in block)
    blocks[place - 1] = f"POSITION=$({blocks[place - 1].strip()} | grep -oE 'e1[.]p[0-9]+[.]o[0-9]+')\n"
    blocks[place] = blocks[place].replace(ITS_POSITION, "$POSITION")
    return "".join(blocks)


@contextmanager
def run(text: str, directory: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A shell, and all that it leaves in the background ended with it."""
    with (directory / "out").open("w+") as out, (directory / "err").open("w+") as err:
        shell = subprocess.Popen(
            ["bash", "-c", text],
            cwd=directory,
            env=environment,
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )
        try:
            yield shell
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def test_the_tutorial_gives_the_answers_that_it_says(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    (ports,) = choose_ports(1)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CONSENTRY_BOOTSTRAP_SERVERS": kafka,
        "CONSENTRY_TOPIC_PREFIX": topic_prefix,
        "CONSENTRY_PARTITIONS": "3",
        "CONSENTRY_HTTP_PORT": str(ports.client),
    }
    with run(script(ports.client), tmp_path, environment) as shell:
        shell.wait(WAIT_S)
        printed, faults = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    promised = re.findall(r"`((?:ALLOW|DENY) [A-Z_]+ clause [\w.-]+)`", TUTORIAL)
    answered = [" ".join(line.split()) for line in printed.splitlines() if re.match(r"(ALLOW|DENY) ", line)]
    assert len(promised) == 4
    assert answered == promised, printed + faults
