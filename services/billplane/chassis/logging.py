"""Structured logs: one event a line, with service, tenant, request and trace."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

import structlog

_SECRETS = ("password", "secret", "token", "authorization", "credential")

trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def configure(level: str = "INFO", form: str = "json") -> None:
    """Set up logging for the process."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRETS):
            event[name] = "[redacted]"
    return event


def get(name: str) -> Any:
    """Return the logger of one service or module."""
    return structlog.get_logger(service=name)
