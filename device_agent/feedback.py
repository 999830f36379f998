"""What a person sees and hears. One line per touch on stdout, beginning with a word that programs may rely on: `green`,
`red`, `badge`, `ready`.

Green means written durably on the device, not delivered (EVIDENCE.md section 1). What the server says comes on stderr
and never delays a touch.
"""

import contextlib
import sys
import threading
from typing import TextIO

from device_agent.messages import Lang, text
from device_agent.sender import Contact


class Feedback:
    """Lines in the person's language; a bell where the output is a terminal. Safe for several threads."""

    def __init__(self, lang: Lang, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self._lang, self._out, self._err = lang, out, err
        self._lock = threading.Lock()
        self._last_contact = ""

    def green(self, seq: int, act: str, uid: str, *, uid_only: bool) -> None:
        """The tap is on the disk."""
        more = " " + text("uid_only", self._lang) if uid_only else ""
        self._say(f"green {seq} {act} {uid} {text('stored', self._lang, act=act)}{more}", bell="\a")

    def red(self, code: str) -> None:
        """Nothing was stored, and what to do."""
        self._say(f"red {code} {text(code, self._lang)}", bell="\a\a\a")

    def badge(self, staff: str) -> None:
        """A badge was read; the tag is to follow."""
        self._say(f"badge {staff} {text('badge', self._lang, staff=staff)}", bell="\a")

    def ready(self) -> None:
        """Every reader is open."""
        self._say("ready")

    def note(self, code: str, **values: object) -> None:
        """Something about the machine, for whoever looks at the log."""
        self._write(self._err, text(code, self._lang, **values))

    def contact(self, contact: Contact) -> None:
        """The sender's state, when it changes."""
        if contact.code not in (self._last_contact, "starting"):
            self._last_contact = contact.code
            self.note(contact.code, detail=contact.detail)

    def _say(self, line: str, bell: str = "") -> None:
        self._write(self._out, line + (bell if self._out.isatty() else ""))

    def _write(self, stream: TextIO, line: str) -> None:
        # A closed terminal or a full log disk must not cost a tap.
        with self._lock, contextlib.suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()
