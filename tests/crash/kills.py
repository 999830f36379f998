"""Kills at random under load. At each kill, with the server down, every acknowledged statement must be in the database.

"Down" is killed, or stopped with SIGSTOP where another process is the victim: a server that works would let devices
heal the loss before anybody looks. Between kills everything is waited for until healthy.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import psycopg

from app.db.embedded import EmbeddedServer
from tests.acceptance.processes import KOMGICK, run
from tests.crash.device import Device
from tests.crash.ledger import Held, Key, read_held
from tests.crash.result import Result, say
from tests.crash.town import Town

VICTIMS = {"agent": 5, "server": 3, "postgres": 2, "backend": 3, "machine": 2}
"""What is killed, by weight. postgres: its head; backend: one connection's process; machine: server and all of
PostgreSQL at once.
"""
DRAIN_S = 90.0


class Run:
    """`kills` kills in a town of `devices` devices, by a schedule that `seed` decides; then the account is made."""

    def __init__(self, folder: Path, result: Result, *, kills: int, seed: int, devices: int = 4) -> None:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        self.town = Town(folder, devices, str(seed))
        self.result = result
        self._chance = random.Random(f"{seed} kills")
        self._folder = folder
        self._schedule = self._victims(kills)
        self._back_up_at, self._restore_at = kills // 3, max(kills // 2, kills // 3 + 1)
        self._at_backup: set[Key] = set()
        self._copied: Device | None = None

    def _victims(self, kills: int) -> list[str]:
        """Each kind comes, and the two at which the database is copied and put back are the whole machine's."""
        chosen = self._chance.choices(list(VICTIMS), list(VICTIMS.values()), k=kills)
        for index, kind in enumerate(VICTIMS):
            if kills >= 2 * len(VICTIMS):
                chosen[index] = kind
        for index in (kills // 3, max(kills // 2, kills // 3 + 1)):
            if kills >= 3 and index < kills:
                chosen[index] = "machine"
        return chosen

    def __call__(self) -> None:
        """The whole run, counted into `result`. Raises AssertionError where something does not come back at all."""
        try:
            self.town.open()
            say(f"{len(self.town.devices)} devices tap at {self.town.address}")
            for index, victim in enumerate(self._schedule):
                self._aim()
                if index == self._restore_at:
                    self._wait_for_news()
                self._strike(index, victim)
            self._account()
        finally:
            self.town.close()
            self.result.cuts = sum(device.proxy.cuts for device in self.town.devices)

    def _aim(self) -> None:
        """Wait for the moment: any, or while a request is under way."""
        time.sleep(self._chance.uniform(0.2, 1.4))
        target, offset = self._chance.choice(self.town.devices), self._chance.uniform(0, 0.03)
        if self._chance.random() < 0.6:
            target.proxy.under_way.clear()
            target.proxy.under_way.wait(2)
            time.sleep(offset)

    def _wait_for_news(self) -> None:
        """Until something was acknowledged that the backup does not hold."""
        until = time.monotonic() + DRAIN_S
        while not self._acked() - self._at_backup and time.monotonic() < until:
            time.sleep(0.05)

    def _acked(self) -> set[Key]:
        return {key for device in self.town.devices for key in self.town.look_at(device)}

    def _strike(self, index: int, victim: str) -> None:
        town, device = self.town, self._chance.choice(self.town.devices)
        frozen = victim not in ("server", "machine")
        match victim:
            case "agent":
                device.kill()
            case "server":
                town.kill_server()
            case "postgres":
                town.kill_postgres(whole=False)
            case "backend":
                town.kill_backend(self._chance)
            case _:
                town.kill_server()
                town.kill_postgres(whole=True)
        if frozen:
            town.signal_server(signal.SIGSTOP)
        self.result.kills += 1
        try:
            with town.database_alone() as connection:
                self._compare(index, victim, connection)
            self._copies(index, device if victim == "agent" else None)
        finally:
            if frozen:
                town.signal_server(signal.SIGCONT)
        self._heal(index, victim, device)

    def _compare(self, index: int, victim: str, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        missing = self.town.acked_missing(connection)
        self.result.wrong("acked_missing", missing, f"kill {index + 1} ({victim})")
        greens = len(self.town.ledger.green)
        say(f"kill {index + 1}/{len(self._schedule)} {victim}: {greens} green, {len(missing)} acknowledged missing")

    def _copies(self, index: int, killed: Device | None) -> None:
        """The database's backup is made or put back; a device's disk likewise, while its agent is dead."""
        if index == self._back_up_at and self._schedule[index] == "machine":
            self.town.back_up()
            self._at_backup = self._acked()
        if index == self._restore_at and (self._folder / "backup").exists():
            self._restore_database()
        if killed is not None and self._copied is None:
            self._copied = killed
            killed.copy(self._folder / "older disk")
        elif (
            killed is not None
            and killed is self._copied
            and not killed.restored
            and self._kept_elsewhere(index, killed)
        ):
            killed.put_back(self._folder / "older disk")
            say(f"device {killed.number} got an older copy of its disk")

    def _kept_elsewhere(self, index: int, device: Device) -> bool:
        """Whether the server keeps what a lost disk held. Not what still waits; nor, from the backup until devices have
        sent again, what the backup lacks: lost on both sides it would be nowhere."""
        backed_up = (self._folder / "backup").exists()
        return not device.waiting() and (not backed_up or index > self._restore_at)

    def _restore_database(self) -> None:
        self.town.restore_backup()
        with self.town.database_alone() as connection:
            forgotten = self.town.acked_missing(connection)
        say(f"an older backup is put back: {len(forgotten)} acknowledged statements are gone from it")
        if not forgotten:
            self.result.problem("the older backup lacked nothing: the drill has shown nothing")

    def _heal(self, index: int, victim: str, device: Device) -> None:
        town = self.town
        if victim in ("server", "machine"):
            town.start_server()
        if victim == "agent":
            device.start()
            device.wait_ready()
        town.wait_healthy()
        if index == self._restore_at and (self._folder / "backup").exists():
            self._wait_for_what_was_forgotten()

    def _wait_for_what_was_forgotten(self) -> None:
        """Devices un-ack and send again what the older backup lacks."""
        known = set(self.town.ledger.said)
        until = time.monotonic() + DRAIN_S
        absent = known
        while absent and time.monotonic() < until:
            time.sleep(0.3)
            absent = known - self._held_now().statements.keys()
        self.result.wrong("lost", [f"{key[0]} {key[1]}" for key in absent], "after the older backup")

    def _held_now(self) -> Held:
        with psycopg.connect(EmbeddedServer(self.town.data / "postgres").url("komgick")) as connection:
            return read_held(connection)

    def _account(self) -> None:
        """Everything delivered over a kind network; then the books are compared, the server down."""
        town, result = self.town, self.result
        for device in town.devices:
            device.rest()
            device.proxy.kind = True
        result.undrained += town.wait_drained(DRAIN_S)
        for device in town.devices:
            town.look_at(device)
        assert town.server is not None
        status = town.server.end()
        if status != 0:
            result.problem(f"the server ended with {status} on SIGTERM")
        held = town.held()
        result.taps = len(town.ledger.green)
        result.wrong("lost", town.ledger.lost(held), "at the end")
        result.wrong("doubled", town.ledger.doubled(held), "at the end")
        result.wrong("invented", town.ledger.invented(held), "at the end")
        self._chains(held)
        run(KOMGICK, "rebuild", "--data", str(town.data))  # ends with 1, and the run with it, where anything differs
        say("what was derived is what a rebuild derives")

    def _chains(self, held: Held) -> None:
        """A device that kept its disk has one statement a number, without gaps, though the server was put back."""
        restored = {device.device_id for device in self.town.devices if device.restored}
        for device in self.town.devices:
            seqs = sorted(seq for device_id, seq, _ in held.statements if device_id == device.device_id)
            if device.device_id not in restored and seqs != list(range(1, len(seqs) + 1)):
                self.result.problem(f"device {device.number} has a broken row of numbers: {seqs[-5:]}")
