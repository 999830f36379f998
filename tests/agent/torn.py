"""Outboxes as a power cut leaves them, and wounds of their files."""

import random
import shutil
from pathlib import Path

from device_agent.clock import SystemClock
from device_agent.keys import DeviceKey
from device_agent.outbox import FILE_NAME, Outbox
from device_agent.recovery import Recovered, open_outbox
from tests.agent.conftest import tap


def reopen(data: Path, key: DeviceKey) -> Recovered:
    """What the agent does first when it starts."""
    return open_outbox(data, key, "d_test", SystemClock())


def statements(outbox: Outbox) -> dict[int, str]:
    """seq -> statement as signed."""
    return dict(outbox.connection().execute("SELECT seq, jws FROM statements"))


def grown(data: Path, key: DeviceKey, count: int = 60) -> tuple[Path, dict[int, str]]:
    """A folder as a power cut leaves it: some statements in the file, some in the log; and all that was green."""
    outbox = reopen(data, key).outbox
    for _ in range(count // 2):
        tap(outbox)
    outbox.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(count - count // 2):
        tap(outbox)
    copy = data.parent / "after the power cut"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    green = statements(outbox)
    outbox.close()
    return copy, green


def damage(copy: Path, chance: random.Random) -> None:
    """One to three wounds: a region overwritten, a file cut short, a file gone."""
    for _ in range(chance.randint(1, 3)):
        path = copy / chance.choice([FILE_NAME, FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-wal", "chain.mark"])
        if not path.exists():
            continue
        content = bytearray(path.read_bytes())
        at = chance.randrange(len(content) or 1)
        match chance.choice(["cut", "noise", "zeros", "flip", "gone"]):
            case "cut":
                del content[at:]
            case "noise":
                content[at : at + 6000] = chance.randbytes(len(content[at : at + 6000]))
            case "zeros":
                content[at : at + 6000] = bytes(len(content[at : at + 6000]))
            case "flip" if content:
                content[at] ^= 1 << chance.randrange(8)
            case "gone":
                path.unlink()
                continue
        path.write_bytes(content)
