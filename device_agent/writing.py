"""Writing a sticker: one address with its data behind `#`, so that no server log and no link preview sees whose door it
is (EVIDENCE.md section 2).
"""

from threading import Event
from time import monotonic
from urllib.parse import urlsplit

from device_agent.reader import NfcpyReader, NotWritten
from device_agent.setup import Wrong


def write_to_tag(path: str, url: str, *, lock: bool, seconds: float) -> str:
    """Waits for an NTAG21x, writes the address, reads it back, locks it for ever on request; its uid.

    `{uid}` in the address becomes the tag's own.

    Raises Wrong: the address is not https with its data behind `#`, no tag in time, another kind of tag, read-only,
    something else was read back (then it is never locked).
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or not parts.fragment or parts.query:
        raise Wrong("url_form", 2)
    pause, until = Event(), monotonic() + seconds
    try:
        reader = NfcpyReader(path)
    except OSError as error:
        raise Wrong("reader_offline", name=path, detail=error) from error
    try:
        while (uid := reader.sense()) is None:
            if monotonic() > until:
                raise Wrong("no_tag", seconds=int(seconds))
            pause.wait(0.1)
        reader.write_url(url.replace("{uid}", uid), lock=lock)
        return uid
    except NotWritten as error:
        raise Wrong(error.code, detail=error.detail) from error
    finally:
        reader.close()
