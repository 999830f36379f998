"""What an answer means to the device: EVIDENCE.md section 1, table."""

import inspect
import ssl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.sender import Verdict, verdict

TRANSPORT_ERRORS = [
    error
    for _, error in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(error, Exception) and error.__module__ == "httpx"
]
SYSTEM_ERRORS = [
    OSError,
    ConnectionResetError,
    ConnectionRefusedError,
    TimeoutError,
    BrokenPipeError,
    ssl.SSLError,
    ValueError,
]


@pytest.mark.parametrize("status", range(100, 600))
def test_only_200_delivers_only_413_and_422_park_and_everything_else_is_tried_again(status: int) -> None:
    expected = {200: Verdict.DELIVERED, 413: Verdict.PARK, 422: Verdict.PARK}.get(status, Verdict.RETRY)
    assert verdict(status) is expected


@pytest.mark.parametrize("error", [*TRANSPORT_ERRORS, *SYSTEM_ERRORS], ids=lambda error: error.__name__)
def test_every_transport_error_is_tried_again(error: type[Exception]) -> None:
    made = error.__new__(error)
    assert verdict(made) is Verdict.RETRY


def test_the_table_really_holds_the_transport_errors() -> None:
    assert {"ConnectError", "ReadTimeout", "RemoteProtocolError", "TooManyRedirects"} <= {
        e.__name__ for e in TRANSPORT_ERRORS
    }


@given(st.integers())
def test_a_status_nobody_has_heard_of_never_loses_a_statement(status: int) -> None:
    assert verdict(status) is Verdict.RETRY or status in (200, 413, 422)
