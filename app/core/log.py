"""Structured log on stderr: one JSON object a line, or readable lines on a terminal. Never personal data."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_log(level: str = "INFO") -> None:
    """Send the log to stderr (stdout belongs to a command's result); safe to call twice."""
    readable = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_readable() if readable else _machine()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), 20)),
        # Looked up at each line: who redirects stderr for a while (one command inside another program) may close it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _readable() -> tuple[structlog.typing.Processor, ...]:
    """Lines for a person; a traceback shows places, never values (they may be somebody's data)."""
    return (structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),)


def _machine() -> tuple[structlog.typing.Processor, ...]:
    """JSON; a traceback shows places, never values."""
    places = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return structlog.processors.ExceptionRenderer(places), structlog.processors.JSONRenderer()
