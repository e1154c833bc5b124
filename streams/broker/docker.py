"""Is there a container engine that answers? Asked quickly and without noise."""

import shutil
import subprocess

ANSWER_TIMEOUT_S = 3


def engine_answers() -> bool:
    """True if the docker command is there and its engine says its version."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    command = [docker, "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=ANSWER_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0
