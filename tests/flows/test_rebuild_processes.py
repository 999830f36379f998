"""The processes of a rebuild end, whoever they were born of: a server derives everything again after a large import."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from app.visits.rebuild import _spread


def has_default_handlers(_part: int) -> bool:
    return {signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)} == {signal.SIG_DFL}


def fail_or_wait(part: int) -> int:
    if part == 0:
        raise ValueError("a rule's fault")
    time.sleep(600)
    return part


def spread_in_a_thread(work: Any) -> list[Any]:
    """As the server's deriver does it, below handlers that only take note, as uvicorn's do."""
    found: list[Any] = []

    def spread() -> None:
        try:
            found.extend(_spread(work, range(2), 2))
        except ValueError as error:
            found.append(error)

    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        thread = threading.Thread(target=spread, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), "the processes did not end"
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return found


def test_the_processes_of_a_server_can_be_ended() -> None:
    assert spread_in_a_thread(has_default_handlers) == [True, True]


def test_a_fault_in_one_process_ends_the_others() -> None:
    (error,) = spread_in_a_thread(fail_or_wait)
    assert isinstance(error, ValueError)
