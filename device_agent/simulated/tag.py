"""What every simulated tag has: how it is selected, what it answers, and that it forgets when the field goes."""

import ndef


class SimulatedTag:
    """A tag in the field. brty: the technology it answers in (`106A` or `212F`)."""

    brty = "106A"
    sens_res = b""
    sel_res = b""
    sensf_res = b""

    def __init__(self, uid: bytes) -> None:
        self.uid = uid

    def reset(self) -> None:
        """The field went off, or the tag was selected afresh."""

    def command(self, command: bytes) -> bytes | None:
        """The answer to a command; None is silence, and so is any answer to an empty frame."""
        return b"" if command else None


def url_message(url: str) -> bytes:
    """An NDEF message with one address."""
    return b"".join(ndef.message_encoder([ndef.UriRecord(url)]))
