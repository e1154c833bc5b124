"""Logs: an event name and fields, one line each on standard error. Nothing here names a subject, a key or a payload."""

import logging
import sys

import structlog

QUIET = ("aiokafka", "faust", "mode", "uvicorn.access", "httpx", "httpcore")
"""libraries whose everyday words would drown ours: from them only warnings"""


def configure_logging(level: str) -> None:
    """Once a process, by whoever runs it: text for people on a terminal, logfmt else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                _without_colours,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer()],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _without_colours(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Without uvicorn's second copy of its message, which holds codes for terminals."""
    entry.pop("color_message", None)
    return entry


def _renderer() -> structlog.typing.Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
