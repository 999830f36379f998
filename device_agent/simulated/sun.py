"""The tag's side of Secure Unique NFC in AES mode (NXP AN12196): what an NTAG 424 DNA prints into its address at each
reading.
"""

import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def sun(meta_key: bytes, file_key: bytes, uid: bytes, counter: int) -> tuple[str, str]:
    """Encrypted uid and counter (32 hex digits) and their CMAC over an empty input (16 hex digits)."""
    raw = counter.to_bytes(3, "little")
    encryptor = Cipher(algorithms.AES(meta_key), modes.CBC(bytes(16))).encryptor()
    picc = encryptor.update(b"\xc7" + uid + raw + os.urandom(5)) + encryptor.finalize()
    session_key = _cmac(file_key, (b"\x3c\xc3\x00\x01\x00\x80" + uid + raw).ljust(16, b"\0"))
    return picc.hex().upper(), _cmac(session_key, b"")[1::2].hex().upper()
