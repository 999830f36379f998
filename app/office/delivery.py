"""How an alert leaves the house: e-mail or webhook, as the unit's `alert_to` says; a few tries at once, more later.

`alert_to` is one address or several, separated by commas: `name@example.org`, or `https://host/path`. A webhook gets
POST with JSON `{alert_id, kind, at, unit_id, text}`; any 2xx is a receipt; redirects are not followed. Only hosts
of the setting `webhook_hosts` are called: the address is the provider's to choose, the network is not.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from app.core.settings import Settings

TIMEOUT_S = 10


class NotDeliverable(Exception):  # noqa: N818 -- no error: nobody has said where to
    """There is no way to this address: not configured, or not an address at all."""


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out."""

    alert_id: str
    kind: str
    at: str
    unit_id: str
    text: str

    @property
    def body(self) -> Mapping[str, str]:
        """As a webhook gets it."""
        return {
            "alert_id": self.alert_id, "kind": self.kind, "at": self.at, "unit_id": self.unit_id, "text": self.text,
        }  # fmt: skip


def deliver(message: Message, alert_to: str, settings: Settings) -> None:
    """Send to every address, each up to three times. NotDeliverable, httpx.HTTPError, SMTPException or OSError."""
    addresses = [one.strip() for one in alert_to.split(",") if one.strip()]
    if not addresses:
        raise NotDeliverable("no address")
    for address in addresses:
        trying = Retrying(
            stop=stop_after_attempt(3),
            wait=wait_exponential_jitter(multiplier=0.2, max=2),
            retry=retry_if_exception_type((httpx.HTTPError, smtplib.SMTPException, OSError)),
            reraise=True,
        )
        trying(_call if "://" in address else _mail, message, address, settings)


def _call(message: Message, address: str, settings: Settings) -> None:
    allowed = {one.strip().lower() for one in settings.webhook_hosts.split(",") if one.strip()}
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() not in allowed:
        raise NotDeliverable("not a webhook this installation calls")
    answer = httpx.post(address, json=dict(message.body), timeout=TIMEOUT_S, follow_redirects=False)
    answer.raise_for_status()


def _mail(message: Message, address: str, settings: Settings) -> None:
    if not settings.smtp_host or address.count("@") != 1 or not address.isprintable() or " " in address:
        raise NotDeliverable("no e-mail")
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = settings.mail_from, address, f"KomGick: {message.kind}"
    mail["Message-ID"] = f"<{message.alert_id}@komgick>"
    mail.set_content(message.text)
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
        if settings.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        server.send_message(mail)
