"""The jars of Apache Kafka: fetched once from Maven Central, each checked against its known hash.

`jars.txt` is the lock. They lie in our own cache, so that later starts need no network; a jar that the
machine's Maven repository already holds is copied from there. Mirrors that jgo's configuration or Maven's
settings name are used.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

from consentry.errors import Unavailable

KAFKA_VERSION = "4.1.1"
PARALLEL_DOWNLOADS = 8
DOWNLOAD_ATTEMPTS = 3
DOWNLOAD_TIMEOUT_S = 60
PROGRESS_EACH = 10
MIRROR_OF_CENTRAL = {"*", "central", "external:*"}

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    """All jars of the lock, in its order."""
    text = resources.files("streams.broker").joinpath("jars.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(_jar(coordinate, sha256) for coordinate, sha256 in lines)


def _jar(coordinate: str, sha256: str) -> Jar:
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def cache_dir() -> Path:
    """Where our downloads are kept: under XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if root else Path.home() / ".cache") / "consentry" / f"kafka-{KAFKA_VERSION}"


def class_path(on_progress: Progress) -> tuple[Path, ...]:
    """The jars to run Kafka with. Fetches what the cache lacks; with a warm cache it uses no network.

    Raises Unavailable naming the jar that could not be had.
    """
    jars, cache = locked_jars(), cache_dir()
    missing = [jar for jar in jars if not (cache / jar.filename).is_file()]
    if missing:
        fetch(missing, cache, on_progress)
    return tuple(cache / jar.filename for jar in jars)


def fetch(jars: list[Jar], cache: Path, on_progress: Progress) -> None:
    """Bring `jars` into `cache`: each appears there only when it is whole and its hash is right."""
    cache.mkdir(parents=True, exist_ok=True)
    on_progress(f"fetching Apache Kafka {KAFKA_VERSION} (once; 44 MB in all) into {cache}")
    with (
        tempfile.TemporaryDirectory(prefix="incoming-", dir=cache) as incoming,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):
        pending = [pool.submit(_fetch_one, jar, cache, Path(incoming)) for jar in jars]
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                future.result()
                if done % PROGRESS_EACH == 0 or done == len(jars):
                    on_progress(f"fetching Apache Kafka {KAFKA_VERSION}: {done} of {len(jars)} jars")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: Jar, cache: Path, incoming: Path) -> None:
    faults: list[str] = []
    for attempt in range(DOWNLOAD_ATTEMPTS):
        try:
            found = _resolve(jar, incoming / str(attempt), use_local=attempt == 0)
        except (
            OSError,
            RuntimeError,
        ) as fault:  # requests' errors are OSError, jgo's "not found" a RuntimeError
            faults.append(str(fault))
            continue
        if hashlib.sha256(found.read_bytes()).hexdigest() == jar.sha256:
            whole = incoming / jar.filename
            shutil.copyfile(found, whole)
            whole.replace(cache / jar.filename)
            return
        faults.append(f"{found} is not the file that was expected (its SHA-256 differs)")
    raise Unavailable(
        f"{jar.group}:{jar.artifact}:{jar.version} could not be fetched: {faults[-1]}",
        where="local Kafka",
        remedy="check the network, name a mirror in ~/.config/jgo.conf or ~/.m2/settings.xml, "
        "or set CONSENTRY_BOOTSTRAP_SERVERS to a Kafka that runs",
    )


def _resolve(jar: Jar, incoming: Path, *, use_local: bool) -> Path:
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext
    except ImportError as fault:
        raise Unavailable(
            "jgo is not installed", where="local Kafka", remedy="pip install 'consentry[kafka]'"
        ) from fault
    settings = GlobalSettings.load()
    local = [Path(settings.repo_cache)] if use_local else []
    context = MavenContext(repo_cache=incoming, local_repos=local, timeout=DOWNLOAD_TIMEOUT_S)
    mirror = central_mirror(Path.home() / ".m2" / "settings.xml")
    context.remote_repos.update({"central": mirror} if mirror else {})
    context.remote_repos.update(settings.repositories)
    return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()


def central_mirror(settings_xml: Path) -> str:
    """The mirror that Maven's settings name for Central; empty if none."""
    try:
        root = ElementTree.parse(settings_xml).getroot()  # noqa: S314 (the user's own file)
    except (OSError, ElementTree.ParseError):
        return ""
    for mirror in root.iterfind(".//{*}mirror"):
        covered = {name.strip() for name in mirror.findtext("{*}mirrorOf", "").split(",")}
        if covered & MIRROR_OF_CENTRAL:
            return mirror.findtext("{*}url", "").strip().rstrip("/")
    return ""
