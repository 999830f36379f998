"""A device under test: a real `komgick-agent run` on a folder of its own, its reader, and the hand that taps."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from device_agent.simulated.field import Field, UdpField
from device_agent.simulated.script import make_tag
from tests.acceptance.processes import AGENT, Watched, run
from tests.crash.ledger import Ledger, read_outbox
from tests.crash.proxy import Proxy

READY_S = 60.0
GREEN_S = 4.0


class Device:
    """Agent, reader, hand and network of one device. The reader is this process's and outlives the agent."""

    def __init__(self, number: int, folder: Path, ledger: Ledger, seed: str) -> None:
        self.number, self.folder, self.ledger = number, folder / f"device_{number}", ledger
        self.proxy = Proxy(f"{seed} proxy {number}")
        self.device_id = ""
        self.agent: Watched | None = None
        self.restored = False
        self._chance = random.Random(f"{seed} hand {number}")
        self._field = Field()
        self._reader = UdpField(self._field)
        self._reader.start()
        self._laid = 0
        self._read_lines = 0
        self._up = threading.Event()
        self._ended = threading.Event()
        self._reading = threading.Lock()
        self._hand = threading.Thread(target=self._lay_tags, daemon=True, name=f"hand {number}")

    def enrol(self, device_id: str, token: str) -> None:
        """Make the key and introduce it, through the network as it is."""
        run(AGENT, "enrol", "--server", self.proxy.url, "--data", str(self.folder), f"--token={token}")
        self.device_id = device_id

    def start(self) -> None:
        """Start the agent; the hand begins when its reader is open."""
        agent = Watched(
            AGENT, "run", "--data", str(self.folder), "--reader", f"udp:127.0.0.1:{self._reader.port}", "--staff",
            f"s_{self.number}", "--max-wait", "0.6", "--heartbeat", "1", "--holdoff", "60",
        )  # fmt: skip
        with self._reading:
            self.agent, self._read_lines = agent, 0

    def wait_ready(self) -> None:
        """Until the agent's reader is open."""
        assert self.agent is not None
        self.agent.line("ready", READY_S)
        self._up.set()
        if self._hand.ident is None:
            self._hand.start()

    def kill(self) -> None:
        """SIGKILL; the tag on the reader is taken away, and what the agent still said is read to its last line."""
        assert self.agent is not None
        self._up.clear()
        self.agent.end(signal.SIGKILL)
        self._field.take()
        self._note_green()

    def rest(self) -> None:
        """The hand stops; the agent goes on sending."""
        self._ended.set()
        self._up.clear()
        if self._hand.ident is not None:
            self._hand.join(20)
        self._note_green()

    def close(self) -> int:
        """End everything; the agent's exit status on SIGTERM."""
        self.rest()
        status = self.agent.end() if self.agent is not None else 0
        self._reader.stop()
        self.proxy.close()
        return status

    def waiting(self) -> int:
        """How many statements have no receipt, those set aside included."""
        return sum(1 for one in read_outbox(self.folder) if not one.received)

    def copy(self, to: Path) -> None:
        """A copy of the whole disk; the agent must not run."""
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.folder), str(to)], check=True)

    def put_back(self, copy: Path) -> None:
        """The disk as it was then; the agent must not run."""
        self.ledger.look_at(self.device_id, read_outbox(self.folder))
        shutil.rmtree(self.folder)
        subprocess.run(["cp", "-a", str(copy), str(self.folder)], check=True)
        self.restored = True

    def _lay_tags(self) -> None:
        while not self._ended.is_set():
            if not self._up.wait(0.2):
                continue
            self._laid += 1
            uid = tag_uid(self.number, self._laid)
            self.ledger.lay(uid, self.device_id)
            self._field.put(make_tag("ntag213", {"uid": uid}))
            until = time.monotonic() + GREEN_S
            while self._up.is_set() and uid not in self.ledger.green and time.monotonic() < until:
                time.sleep(0.02)
                self._note_green()
            self._field.take()
            self._ended.wait(0.3 + self._chance.random() * 0.3)

    def _note_green(self) -> None:
        """Green lights since the last look; the lines of a killed agent are whole or not there."""
        with self._reading:
            assert self.agent is not None
            for line in self.agent.lines[self._read_lines :]:
                self._read_lines += 1
                words = line.split()
                if words[:1] == ["green"] and len(words) > 3:
                    self.ledger.lit(words[3], self.device_id, int(words[1]))


def tag_uid(device: int, number: int) -> str:
    """The uid of the number-th tag that is laid on a device's reader; 7 bytes."""
    return f"04{device:02X}{number:08X}80"
