"""Logs of a process that runs for long: one JSON line a record on stderr, an event name and its fields."""

import logging
import sys

import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings

LEVELS = ("debug", "info", "warning", "error")
OURS = ("consentry", "streams")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """{"at": ms, "level": …, "event": …, "from": …} and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": int(record.created * 1000),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "from": record.name,
        }
        own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        line |= {name: value for name, value in own.items() if name not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def set_up_logging(settings: Settings) -> None:
    """Ours from `log_level` on, those of libraries from warnings on. Raises ConsentryError on an unknown level."""
    level = settings.log_level.lower()
    if level not in LEVELS:
        raise ConsentryError(
            f"{settings.log_level!r} is no level", where="log_level", remedy=f"one of {', '.join(LEVELS)}"
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if level == "debug" else logging.WARNING, force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
