"""Opaque credentials: 256 random bits, shown once, of which only the SHA-256 is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


def new_token(prefix: str = "") -> str:
    """A fresh secret, url-safe; the prefix says what it is when it turns up in the wrong place."""
    return prefix + secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What is stored: a fast hash suffices for 256 random bits, and cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def csrf_of(session_token: str) -> str:
    """The token a page must send with an unsafe request: derived from the cookie, useless for finding it."""
    digest = hashlib.sha256(b"csrf\x1f" + session_token.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def csrf_fits(session_token: str, sent: str) -> bool:
    """Whether the sent token belongs to the session, compared in constant time."""
    return hmac.compare_digest(csrf_of(session_token).encode(), sent.encode("utf-8", "surrogatepass"))
