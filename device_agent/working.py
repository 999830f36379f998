"""The agent in the foreground: `run`, and `simulate` with readers of its own."""

import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic

from device_agent.clock import SystemClock
from device_agent.feedback import Feedback
from device_agent.loop import Agent, open_agent
from device_agent.setup import Setup
from device_agent.simulated.field import Field
from device_agent.simulated.script import Presentation, play
from device_agent.statements import Act


def work(setup: Setup, beside: Callable[[Agent, threading.Event], None] | None = None) -> None:
    """Runs the agent until a signal or until `beside` is through."""
    stopping = threading.Event()
    clock = SystemClock()
    with open_agent(setup, clock, Feedback(setup.lang)) as agent:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        if any(reader.rules.act is None for reader in setup.readers):
            threading.Thread(target=_read_keys, args=(agent, clock), daemon=True, name="keys").start()
        if beside is not None:
            threading.Thread(target=beside, args=(agent, stopping), daemon=True, name="script").start()
        agent.run(stopping)


def _read_keys(agent: Agent, clock: SystemClock) -> None:
    """`k` or `1` then Enter is KOM, `g` or `2` is GICK, for the next touch; a keypad types the same."""
    keys: dict[str, Act] = {"k": "KOM", "1": "KOM", "+": "KOM", "g": "GICK", "2": "GICK", "-": "GICK"}
    for line in sys.stdin:
        chosen = keys.get(line.strip().lower()[:1])
        if chosen is not None:
            agent.choices.choose(chosen, clock.now())


def simulate_here(
    setup: Setup, script: list[Presentation], fields: dict[str, Field], pace: float, drain: float
) -> None:
    """The whole agent in this process; ends when all is presented and received."""
    from device_agent.reader import simulate as plug_in  # noqa: PLC0415 - needs libusb, which `run` with PC/SC does not

    for name, field in fields.items():
        plug_in(name, field)

    def beside(agent: Agent, stopping: threading.Event) -> None:
        while not stopping.is_set() and not agent.ready.wait(0.1):
            pass

        def press(item: Presentation) -> None:
            if item.act is not None:
                agent.choices.choose("KOM" if item.act.lower() == "kom" else "GICK", SystemClock().now())

        play(script, fields, stopping, press, pace)
        until = monotonic() + drain
        while not stopping.is_set() and agent.outbox.counts().waiting and monotonic() < until:
            stopping.wait(0.1)
        stopping.set()

    work(setup, beside)
