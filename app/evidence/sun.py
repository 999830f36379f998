"""NTAG 424 DNA, Secure Unique NFC in AES mode: what the tag's text proves, and its counter over all devices.

Source: NXP AN12196 rev 1.8 sections 4.3-4.4, data sheet NT4H2421Gx section 9.3; keys per tag: AN10922 section 2.2.
A statement carries `<picc>.<mac>`: 32 hex digits of encrypted UID and counter, 16 hex digits of the MAC over them.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

CounterDoubt = Literal["tag_counter_replay", "tag_counter_order"]

_ZERO = bytes(16)
_TEXT = re.compile(r"([0-9A-Fa-f]{32})\.([0-9A-Fa-f]{16})")


class SunInvalid(ValueError):  # noqa: N818 -- named for what it says
    """The text does not come from a tag with our keys."""


@dataclass(frozen=True, slots=True)
class SunKeys:
    """One version of the keys: `meta_key` decrypts UID and counter (the same for every tag, for the UID is not known
    before), `master_key` gives each tag's own MAC key by AN10922 over its UID. 16 bytes each."""

    version: int
    meta_key: bytes
    master_key: bytes

    def tag_key(self, uid: bytes) -> bytes:
        """The tag's own SDMFileRead key."""
        return diversify(self.master_key, uid)


@dataclass(frozen=True, slots=True)
class Mirror:
    """What a tag mirrored into its text: 7-byte UID, and the read counter's 3 bytes, least significant first."""

    uid: bytes
    counter_raw: bytes

    @property
    def counter(self) -> int:
        return int.from_bytes(self.counter_raw, "little")


def check(text: str, keys: Iterable[SunKeys]) -> Mirror:
    """UID and counter of `<picc>.<mac>` under the first version of the keys that fits. SunInvalid when none does."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise SunInvalid("32 hex digits, a point, 16 hex digits")
    picc, mac = bytes.fromhex(match.group(1)), bytes.fromhex(match.group(2))
    for version in keys:
        try:
            mirror = decrypt_picc(version.meta_key, picc)
        except SunInvalid:
            continue
        if hmac.compare_digest(sdm_mac(version.tag_key(mirror.uid), mirror), mac):
            return mirror
    raise SunInvalid("no key fits")


def make(keys: SunKeys, uid: bytes, counter: int, padding: bytes = bytes(5)) -> str:
    """What a tag with these keys would say: for simulated tags and tests."""
    mirror = Mirror(uid, counter.to_bytes(3, "little"))
    picc = _cbc(keys.meta_key, b"\xc7" + uid + mirror.counter_raw + padding, decrypt=False)
    return f"{picc.hex().upper()}.{sdm_mac(keys.tag_key(uid), mirror).hex().upper()}"


def decrypt_picc(meta_key: bytes, picc: bytes) -> Mirror:
    """PICCENCData: tag byte C7 (UID and counter mirrored, UID of 7 bytes), UID, counter, random. SunInvalid."""
    if len(picc) != 16:
        raise SunInvalid("16 bytes in AES mode")
    plain = _cbc(meta_key, picc, decrypt=True)
    if plain[0] != 0xC7:
        raise SunInvalid("UID and counter must both be mirrored, or the key is another")
    return Mirror(plain[1:8], plain[8:11])


def sdm_mac(tag_key: bytes, mirror: Mirror, mac_input: bytes = b"") -> bytes:
    """SDMMAC, 8 bytes; `mac_input` is empty where the tag's two MAC offsets are equal, the layout we configure."""
    return _cmac(session_mac_key(tag_key, mirror), mac_input)[1::2]


def session_mac_key(tag_key: bytes, mirror: Mirror) -> bytes:
    """SesSDMFileReadMACKey: CMAC over SV2."""
    return _session_key(tag_key, b"\x3c\xc3", mirror)


def session_enc_key(tag_key: bytes, mirror: Mirror) -> bytes:
    """SesSDMFileReadENCKey: CMAC over SV1."""
    return _session_key(tag_key, b"\xc3\x3c", mirror)


def diversify(master: bytes, about: bytes) -> bytes:
    """AN10922, AES-128: the key for `about` (1-31 bytes). Always padded to 32 bytes, so not plain CMAC."""
    if not 1 <= len(about) <= 31:
        raise ValueError("1 to 31 bytes")
    subkey = _double(_cbc(master, _ZERO, decrypt=False))
    text = b"\x01" + about
    if len(text) < 32:
        text = (text + b"\x80").ljust(32, b"\0")
        subkey = _double(subkey)
    last = bytes(a ^ b for a, b in zip(text[16:], subkey, strict=True))
    return _cbc(master, text[:16] + last, decrypt=False)[16:]


def _session_key(tag_key: bytes, prefix: bytes, mirror: Mirror) -> bytes:
    vector = prefix + b"\x00\x01\x00\x80" + mirror.uid + mirror.counter_raw
    return _cmac(tag_key, vector + bytes(-len(vector) % 16))


def _cmac(key: bytes, message: bytes) -> bytes:
    code = CMAC(algorithms.AES(key))
    code.update(message)
    return code.finalize()


def _cbc(key: bytes, data: bytes, *, decrypt: bool) -> bytes:
    """AES-CBC with IV 0, as the tag does it; a single block is plain AES."""
    cipher = Cipher(algorithms.AES(key), modes.CBC(_ZERO))
    step = cipher.decryptor() if decrypt else cipher.encryptor()
    return step.update(data) + step.finalize()


def _double(block: bytes) -> bytes:
    """Doubling in GF(2^128)."""
    number = int.from_bytes(block) << 1
    return (number ^ (0x87 | 1 << 128) if number >> 128 else number).to_bytes(16)


@dataclass(frozen=True, slots=True)
class SunRead:
    """One verified reading of a tag, by whatever device. `at` is the tap's stamp; `timed` is False for grade D."""

    device_id: str
    seq: int
    tag_uid: str
    counter: int
    at: datetime
    timed: bool = True

    @property
    def key(self) -> tuple[str, int]:
        return (self.device_id, self.seq)

    @property
    def order(self) -> tuple[bool, datetime, str, int]:
        """By estimated tap time over all devices; a tap whose time nobody knows comes last and accuses no other."""
        return (not self.timed, self.at, self.device_id, self.seq)


def counter_doubts(reads: Iterable[SunRead]) -> Mapping[tuple[str, int], frozenset[CounterDoubt]]:
    """EVIDENCE.md 2, for readings of any tags: what each is doubted for; readings without doubt are absent.

    `tag_counter_replay`: an earlier reading of the tag has the same counter. `tag_counter_order`: an earlier one has a
    higher counter, so this text was read ahead. Gaps are normal. More readings only ever add doubts, so the readings
    may be looked at in any portions, as long as every pair is looked at once. A grade-D time accuses nobody of order.
    """
    doubts: dict[tuple[str, int], set[CounterDoubt]] = {}
    highest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for read in sorted(reads, key=lambda read: read.order):
        found: set[CounterDoubt] = set()
        if (read.tag_uid, read.counter) in seen:
            found.add("tag_counter_replay")
        if read.timed and read.counter < highest.get(read.tag_uid, -1):
            found.add("tag_counter_order")
        if found:
            doubts[read.key] = found
        seen.add((read.tag_uid, read.counter))
        if read.timed:
            highest[read.tag_uid] = max(read.counter, highest.get(read.tag_uid, -1))
    return {key: frozenset(found) for key, found in doubts.items()}
