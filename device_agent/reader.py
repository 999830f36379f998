"""Readers through nfcpy: the only file that imports it. nfcpy has been frozen since 2022, so nothing else may depend on
it.

Paths: `usb`, `usb:054c:06c3`, `usb:001:014`, `usb-port:1-1.2` (the physical socket, stable over replugging),
`tty:USB0:pn532`, `udp:127.0.0.1:PORT` (simulated tags of another process), `sim:NAME` (simulated tags of this process).

Why not nfcpy's own `connect()`: it turns a lost reader into False, lets odd exceptions out, and reports a card whose
presence check fails (MIFARE Classic) without end. `sense()` tells presence without spending an NTAG 424's counter.
"""

import contextlib
import errno
import logging
import select
from pathlib import Path
from typing import Any, Protocol

import ndef
import nfc
import nfc.clf
import nfc.clf.device
import nfc.clf.udp
import nfc.tag
import nfc.tag.tt2_nxp

from device_agent.touches import Touch

log = logging.getLogger(__name__)
for _name in ("nfc", "nfc.clf"):
    # It reports an absent reader as an error at every attempt; the worker says it once.
    logging.getLogger(_name).setLevel(logging.CRITICAL)

TARGETS = ("106A", "212F")
"""Type B is left out: its identifiers are often random (national identity cards)."""
_USB_DEVICES = Path("/sys/bus/usb/devices")


class SimulatedField(Protocol):
    """What lies on a reader that exists in memory only (simulated/field.py)."""

    def activate(self, technology: str) -> dict[str, bytes] | None:
        """Answers to being sensed in this technology; None when nothing of it lies there."""
        ...

    def exchange(self, command: bytes) -> bytes | None:
        """The tag's answer; None for silence."""
        ...

    def field_off(self) -> None:
        """The radio field was switched off."""
        ...

    def signal(self, what: str) -> None:
        """The reader's lamp was set."""
        ...


class NotWritten(Exception):  # noqa: N818 - says what happened to the tag
    """write_url failed. code: wrong_tag, not_writable_tag, readback."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


_fields: dict[str, SimulatedField] = {}


def simulate(name: str, field: SimulatedField | None) -> None:
    """Makes `sim:name` a reader with this field; None unplugs it."""
    _fields.pop(name, None)
    if field is not None:
        _fields[name] = field


def usb_port_path(port: str, devices: Path = _USB_DEVICES) -> str:
    """nfcpy's path for what is in a physical socket such as `1-1.2`. Asked at every opening: the number changes when
    replugged.
    """
    try:
        bus, device = (int((devices / port / name).read_text()) for name in ("busnum", "devnum"))
    except FileNotFoundError:
        raise OSError(errno.ENODEV, f"nothing in USB port {port}") from None
    return f"usb:{bus:03d}:{device:03d}"


class NfcpyReader:
    """An opened reader (touches.Reader). Raises OSError or usb1's own errors, which are no OSError, when it is gone."""

    def __init__(self, path: str) -> None:
        self._clf = nfc.ContactlessFrontend()
        scheme, _, rest = path.partition(":")
        if scheme in ("sim", "udp"):
            self._clf.device = _memory_device(rest, path) if scheme == "sim" else _udp_device(rest)
        elif not self._clf.open(usb_port_path(rest) if scheme == "usb-port" else path):
            raise OSError(errno.ENODEV, f"no reader at {path}")
        self._targets = [nfc.clf.RemoteTarget(technology) for technology in TARGETS]
        self._target: Any = None

    def sense(self) -> str | None:
        """The uid of what lies there now; None for an empty field."""
        self._target = self._clf.sense(*self._targets, iterations=1)
        return _uid(self._target)

    def read(self) -> Touch:
        """What was last sensed, read once."""
        target = self._target
        uid, iri, product = _uid(target) or "", None, str(target.brty)
        try:
            tag = nfc.tag.activate(self._clf, target)
            if tag is None:
                return Touch(uid, product, error="not activated")
            product = str(tag.product)
            if tag.ndef is not None:
                iri = next((str(record.iri) for record in tag.ndef.records if getattr(record, "iri", None)), None)
            if iri is None and tag.type == "Type4Tag":
                # nfcpy says "no message" where a command of the reading failed; a cryptographic tag always has one.
                return Touch(uid, product, error="no message")
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - torn away, odd answers to selection, undecodable text: nfcpy raises anything
            return Touch(uid, product, error=f"{type(error).__name__}: {error}")
        return Touch(uid, product, iri)

    def signal(self, *, good: bool) -> None:
        """Lamp and buzzer where the driver has them (ACR122); a no-op elsewhere."""
        try:
            if good:
                self._clf.device.turn_on_led_and_buzzer()
            else:
                self._clf.device.turn_off_led_and_buzzer()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a lamp must not cost a tap
            log.debug("lamp: %r", error)

    def write_url(self, url: str, *, lock: bool) -> None:
        """Writes one address to the NTAG21x last sensed, reads it back from a fresh selection, and locks it for ever on
        request.

        Raises NotWritten; the tag may then hold anything.
        """
        tag = nfc.tag.activate(self._clf, self._target)
        if not isinstance(tag, nfc.tag.tt2_nxp.NTAG21x):
            raise NotWritten("wrong_tag", str(getattr(tag, "product", self._target)))
        wanted = [ndef.UriRecord(url)]
        try:
            if tag.ndef is None:
                tag.format()
            if tag.ndef is None or not tag.ndef.is_writeable:
                raise NotWritten("not_writable_tag", "read-only")
            tag.ndef.records = wanted
        except (nfc.tag.TagCommandError, ValueError, AttributeError) as error:
            raise NotWritten("not_writable_tag", str(error)) from error
        uid = _uid(self._target)
        again = nfc.tag.activate(self._clf, self._target) if self.sense() == uid else None
        if again is None or (found := _addresses(again)) != [url]:
            raise NotWritten("readback", "no tag" if again is None else str(found))
        if lock and again.protect() is not True:
            raise NotWritten("not_writable_tag", "lock")

    def close(self) -> None:
        """Gives the reader back; a PN532 that is not closed answers nothing until its power is cut."""
        with contextlib.suppress(Exception):
            self._clf.close()


def _uid(target: Any) -> str | None:
    if target is None:
        return None
    if target.sdd_res:
        return bytes(target.sdd_res).hex().upper()
    if target.sensf_res:
        return bytes(target.sensf_res[1:9]).hex().upper()
    return bytes(target.rid_res[2:6]).hex().upper() if target.rid_res else None


def _addresses(tag: Any) -> list[str | None]:
    """The addresses of all records; a message that cannot be read has none."""
    try:
        return [getattr(record, "iri", None) for record in tag.ndef.records]
    except Exception as error:  # noqa: BLE001 - undecodable bytes raise anything out of nfcpy and ndeflib
        log.debug("read back: %r", error)
        return []


class _SteadyUdp(nfc.clf.udp.Device):  # type: ignore[misc] # nfcpy has no types
    """nfcpy's UDP driver with a datagram's patience instead of a radio's.

    The stock driver waits a second per technology for an empty field and 5 ms for a tag's answer, and takes a late
    answer for the next command's. Here: 150 ms, at least half a second, and late answers are thrown away before each
    command.
    """

    _SENSE_S = 0.15
    _ANSWER_S = 0.5

    def __init__(self, port: int) -> None:
        # The stock constructor turns well-known ports into their service's name and fails over it.
        self.addr = ("127.0.0.1", port)
        self._path = f"127.0.0.1:{port}"
        self.socket: Any = None
        self._create_socket()

    def _send_data(self, brty: str, data: bytes, addr: Any) -> None:
        while select.select([self.socket], [], [], 0)[0]:
            with contextlib.suppress(ConnectionError):
                self.socket.recvfrom(1024)
        super()._send_data(brty, data, addr)

    def _recv_data(self, timeout: float | None, *technologies: str) -> Any:
        return super()._recv_data(self._SENSE_S if timeout == 1.0 else timeout, *technologies)

    def send_cmd_recv_rsp(self, target: Any, data: Any, timeout: float) -> Any:
        return super().send_cmd_recv_rsp(target, data, max(timeout or 0.0, self._ANSWER_S))


def _udp_device(address: str) -> _SteadyUdp:
    host, _, port = address.partition(":")
    if host not in ("127.0.0.1", "localhost"):
        raise ValueError("udp: has no authentication and is for this machine only")
    device = _SteadyUdp(int(port or 54321))
    device._vendor_name, device._device_name, device._chipset_name = "KomGick", "UDP", "simulated"
    return device


def _memory_device(name: str, path: str) -> "_MemoryDevice":
    field = _fields.get(name)
    if field is None:
        raise OSError(errno.ENODEV, f"no simulated reader {name}")
    return _MemoryDevice(name, path, field)


class _MemoryDevice(nfc.clf.device.Device):  # type: ignore[misc] # nfcpy has no types
    """An nfcpy driver whose radio is a SimulatedField; unplugged when its name is no longer registered."""

    def __init__(self, name: str, path: str, field: SimulatedField) -> None:
        self._name, self._field, self._path = name, field, path
        self._vendor_name, self._device_name, self._chipset_name = "KomGick", "memory", "simulated"

    def _plugged(self) -> SimulatedField:
        if _fields.get(self._name) is not self._field:
            raise OSError(errno.ENODEV, "unplugged")
        return self._field

    def close(self) -> None:
        self._field.field_off()

    def mute(self) -> None:
        self._field.field_off()

    def sense_tta(self, target: Any) -> Any:
        answer = self._plugged().activate("106A")
        if answer is None or (target.sel_req and bytes(target.sel_req) != answer["sdd_res"]):
            return None
        return nfc.clf.RemoteTarget("106A", **{name: bytearray(value) for name, value in answer.items()})

    def sense_ttb(self, _target: Any) -> None:
        self._plugged()

    def sense_ttf(self, target: Any) -> Any:
        answer = self._plugged().activate("212F") if target.brty == "212F" else None
        return answer and nfc.clf.RemoteTarget("212F", sensf_res=bytearray(answer["sensf_res"]))

    def sense_dep(self, _target: Any) -> None:
        raise nfc.clf.UnsupportedTargetError("no peer to peer")

    def send_cmd_recv_rsp(self, _target: Any, data: Any, _timeout: float) -> bytearray:
        answer = self._plugged().exchange(bytes(data))
        if answer is None:
            raise nfc.clf.TimeoutError("silence")
        return bytearray(answer)

    def get_max_send_data_size(self, _target: Any) -> int:
        return 290

    def get_max_recv_data_size(self, _target: Any) -> int:
        return 290

    def turn_on_led_and_buzzer(self) -> None:
        self._field.signal("good")

    def turn_off_led_and_buzzer(self) -> None:
        self._field.signal("bad")
