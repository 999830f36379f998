"""The log goes to the stderr of the moment."""

from __future__ import annotations

import contextlib
import io

import pytest
import structlog

from app.core.log import set_up_log


def test_a_stderr_that_was_lent_for_a_while_and_closed_is_not_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    lent = io.StringIO()
    with contextlib.redirect_stderr(lent):
        set_up_log()
        log.info("lent")
    assert '"event": "lent"' in lent.getvalue()
    lent.close()
    log.info("own")
    assert '"event": "own"' in capsys.readouterr().err
