"""A real Chromium, headless, driven by its DevTools protocol over a pipe; with a virtual authenticator on request.

The system's own `chromium` is started (deploy/run installs it); a missing one is a failure, never a skip. Each browser
has a fresh profile and ends with its `with` block.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
    "--lang=sv", "--accept-lang=sv",
)  # fmt: skip
_WAIT_S = 30


class Chromium:
    """One page of one browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._unread = b""
        self._number = 0
        self._session = ""
        self.console: list[str] = []

    def open_page(self) -> None:
        """The page that every later call is about."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            said = self._receive()
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said['error']}"
                answer: dict[str, Any] = said["result"]
                return answer
            self._note(said)

    def go(self, url: str) -> None:
        """Open an address; the page may still be loading."""
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise's when it has settled."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Until the expression is true in the page, 30 seconds at most."""
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            answer = self.send("Runtime.evaluate", expression=f"Boolean({condition})", returnByValue=True)
            if answer["result"].get("value") is True:  # false or an exception while a page is loading
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}\n{self.text()}\n{self.console}")

    def click(self, selector: str) -> None:
        """Click on what the selector names, as a hand would: by real mouse events in its middle."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"{found}?.checkVisibility() && !{found}.disabled")
        box = self.run(
            f"(() => {{ const one = {found}; one.scrollIntoView();"
            " const box = one.getBoundingClientRect();"
            " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)

    def text(self) -> str:
        """What a reader of the page sees."""
        return str(self.run("document.body.innerText"))

    def add_authenticator(self) -> str:
        """A virtual platform authenticator with user verification; its id."""
        self.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        return str(self.send("WebAuthn.addVirtualAuthenticator", options=options)["authenticatorId"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], _WAIT_S)
            assert ready, "chromium does not answer"
            more = os.read(self._from, 1 << 16)
            assert more, "chromium has ended"
            self._unread += more
        first, _, self._unread = self._unread.partition(b"\0")
        said: dict[str, Any] = json.loads(first)
        return said

    def _note(self, said: dict[str, Any]) -> None:
        """What a person would find in the browser's console: errors of scripts, what the page was forbidden."""
        if said.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
            self.console.append(json.dumps(said["params"]))


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser with one page."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "chromium is missing: have root run `deploy/run system`"
    browser_reads, we_write = os.pipe()
    we_read, browser_writes = os.pipe()
    with tempfile.TemporaryDirectory(prefix="komgick-chromium-", ignore_cleanup_errors=True) as profile:
        # The protocol's pipe is by definition at the descriptors 3 and 4.
        shell = f'exec "$@" 3<&{browser_reads} 4>&{browser_writes}'
        process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "chromium", program, *_ARGUMENTS, f"--user-data-dir={profile}"],
            pass_fds=(browser_reads, browser_writes), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(browser_reads)
        os.close(browser_writes)
        page = Chromium(we_write, we_read)
        try:
            page.open_page()
            yield page
        finally:
            os.close(we_write)  # chromium ends when its pipe does
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(we_read)
