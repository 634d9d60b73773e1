"""The log lines of a running service: JSON, without anything that a payload could have put there."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from keepwell.streams.log import LogError


def setup_logging(service: str, instance: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """One JSON line an entry, on stderr by default, for structlog and for libraries that use `logging`.

    Of an exception only the class and the place are told: a library's message can quote the payload. Keepwell's own
    `LogError`s never do, so theirs is kept. Call once, at the start of a process.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service, instance),
        _without_messages,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("kafka").setLevel(logging.WARNING)


_SELDOM_SECONDS: Final = 10.0


class _Seldom(logging.Filter):
    """Lets each logger of kafka-python speak once in ten seconds: with its broker down it writes 3-6 lines a second (F24)."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka"):
            return True
        now = time.monotonic()
        if now - self._last.get(record.name, -_SELDOM_SECONDS) < _SELDOM_SECONDS:
            return False
        self._last[record.name] = now
        return True


def _named(service: str, instance: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
        return {"service": service, "instance": instance, **entry}

    return add


def _without_messages(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    told = entry.pop("exc_info", None)
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else sys.exc_info()[1]
    if not told or error is None:
        return entry
    entry["error"] = type(error).__name__
    if isinstance(error, LogError):
        entry["why"] = str(error)
    frames = traceback.extract_tb(error.__traceback__)
    entry["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return entry
