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
            structlog.processors.dict_tracebacks if not readable else structlog.processors.StackInfoRenderer(),
            structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), 20)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
