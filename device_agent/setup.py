"""How a device is set up: command line over configuration file over defaults; and who it is after enrolment."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from device_agent.keys import DeviceKey, write_secret
from device_agent.messages import Lang
from device_agent.statements import Act
from device_agent.touches import Rules

KEY_NAME = "device.key"
IDENTITY_NAME = "identity.json"
_ACTS: dict[str, Act | None] = {"kom": "KOM", "gick": "GICK", "auto": "AUTO", "keys": None}


class Wrong(Exception):  # noqa: N818 - the person's answer is in the code
    """Cannot go on. code and values: a text of messages.py; status: the exit status (1 refused, 2 wrong usage)."""

    def __init__(self, code: str, status: int = 1, **values: object) -> None:
        super().__init__(code)
        self.code, self.status, self.values = code, status, values


@dataclass(frozen=True, slots=True)
class ReaderSetup:
    """One reader: its path (reader.py, or `pcsc:NAME`) and what a touch on it means."""

    path: str
    rules: Rules


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything `run` needs to know."""

    data: Path
    server: str | None = None
    readers: tuple[ReaderSetup, ...] = ()
    lang: Lang = "sv"
    heartbeat_s: float = 120.0
    max_wait_s: float = 300.0
    holdoff_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this device is: what the server said at enrolment."""

    device_id: str
    server: str
    server_jwk: Mapping[str, str] = field(default_factory=dict)
    thumbprint: str = ""

    @classmethod
    def load(cls, data: Path) -> "Identity":
        """Raises Wrong when the device is not enrolled."""
        try:
            known = json.loads((data / IDENTITY_NAME).read_text())
            return cls(known["device_id"], known["server"], known["server_jwk"], known["thumbprint"])
        except FileNotFoundError:
            raise Wrong("not_enrolled") from None
        except (ValueError, KeyError, TypeError) as error:
            raise Wrong("bad_option", name=IDENTITY_NAME, detail=repr(error)) from error

    def save(self, data: Path) -> None:
        """Durable when it returns."""
        known = {
            "device_id": self.device_id, "server": self.server,
            "server_jwk": dict(self.server_jwk), "thumbprint": self.thumbprint,
        }  # fmt: skip
        write_secret(data / IDENTITY_NAME, json.dumps(known, indent=1).encode())


def load_key(data: Path) -> DeviceKey:
    """The device's key. Raises Wrong when there is none or it cannot be read."""
    try:
        return DeviceKey.load(data / KEY_NAME)
    except FileNotFoundError:
        raise Wrong("not_enrolled") from None
    except ValueError as error:
        raise Wrong("bad_option", name=KEY_NAME, detail=str(error)) from error


def checked_server(url: str) -> str:
    """The server's address without a trailing slash. Raises Wrong: https only, except to this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Wrong("bad_url", 2, url=url)
    if parts.scheme == "http" and not is_loopback(url):
        raise Wrong("needs_https", 2, url=url)
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def read_setup(data: Path, config: Path | None, given: Mapping[str, Any]) -> Setup:
    """Setup from the file (`agent.toml` in the data folder unless given) and what the command line gives (None: not
    given).

    Raises Wrong with the name of the value that cannot be used.
    """
    file = config or data / "agent.toml"
    known: dict[str, Any] = {}
    if config or file.exists():
        try:
            known = tomllib.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise Wrong("bad_option", 2, name=str(file), detail=str(error)) from error
    known |= {name: value for name, value in given.items() if value not in (None, (), [], {})}
    lang = known.get("lang", "sv")
    if lang not in get_args(Lang):
        raise Wrong("bad_option", 2, name="lang", detail=lang)
    paths = known.get("readers", [])
    tables = [{"path": path} for path in paths] if paths else known.get("reader", [])
    try:
        return Setup(
            data=data,
            server=known.get("server"),
            readers=tuple(ReaderSetup(checked_path(str(table["path"])), _rules(known | table)) for table in tables),
            lang=cast("Lang", lang),
            **{name: float(known[name]) for name in ("heartbeat_s", "max_wait_s", "holdoff_s") if name in known},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Wrong("bad_option", 2, name=str(file), detail=repr(error)) from error


def checked_path(path: str) -> str:
    """A reader's path. Raises Wrong for a udp: path to another machine: it has no authentication."""
    if path.startswith("udp:") and path.split(":")[1] not in ("127.0.0.1", "localhost"):
        raise Wrong("udp_loopback", 2, path=path)
    return path


def _rules(known: Mapping[str, Any]) -> Rules:
    act = str(known.get("act", "auto")).lower()
    if act not in _ACTS:
        raise Wrong("bad_option", 2, name="act", detail=act)
    badges = {str(uid).upper().replace(":", ""): str(staff) for uid, staff in dict(known.get("badges", {})).items()}
    return Rules(_ACTS[act], known.get("staff"), known.get("grant"), known.get("service"), badges)
