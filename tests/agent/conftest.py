"""An enrolled device in a fresh folder, a real HTTP server, and helpers to wait."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from device_agent.clock import SystemClock
from device_agent.keys import DeviceKey
from device_agent.loop import http_client
from device_agent.outbox import Outbox
from device_agent.recovery import open_outbox
from device_agent.sender import Sender, Server
from device_agent.setup import KEY_NAME, Identity
from tests.agent.server import TapServer


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Returns when the condition holds; fails when it does not in time."""
    until = monotonic() + seconds
    while not condition():
        assert monotonic() < until, "it did not happen in time"
        sleep(0.01)


def tap(outbox: Outbox, uid: str = "04A1B2C3D4E580", act: str = "KOM") -> int:
    """One tap into the outbox; its seq."""
    return outbox.append("tap", {"act": act, "tag": {"uid": uid}, "staff": "s_1"}, SystemClock().now()).seq


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def key(data: Path) -> DeviceKey:
    return DeviceKey.load_or_create(data / KEY_NAME)


@pytest.fixture
def server(key: DeviceKey) -> Iterator[TapServer]:
    running = TapServer(key.jwk)
    yield running
    running.close()


@pytest.fixture
def enrolled(data: Path, server: TapServer) -> Path:
    """The data folder of a device that `server` knows."""
    Identity(server.dev, server.url, server.key.jwk, "ABCDEF").save(data)
    return data


@pytest.fixture
def outbox(data: Path, key: DeviceKey) -> Iterator[Outbox]:
    opened = open_outbox(data, key, "d_test", SystemClock()).outbox
    yield opened
    opened.close()


@pytest.fixture
def sender(outbox: Outbox, key: DeviceKey, server: TapServer) -> Iterator[Sender]:
    with http_client(server.url) as http:
        yield Sender(outbox, key, Server(http, server.key.jwk), SystemClock(), max_wait_s=0.1)
