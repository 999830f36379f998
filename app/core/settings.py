"""What the installation decides by environment variables (prefix `KOMGICK_`); secrets live in files, not here.

The municipality's numbers are not settings but dated policies (`app/policies.py`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The environment, read once at start.

    `database_url` is the owner's URL (migrations and batch); empty means the embedded PostgreSQL under `data`.
    `db_schema` holds every table (KOMGICK_SCHEMA). `login_prefix` tells the logins of several installations on one
    server apart. `logins_file` holds the passwords of the logins of a server by URL; default `data`/logins.json.
    `public_url` is the address in people's browsers (https://komgick.example), to which passkeys are bound; empty: as
    the request says, which a proxy in front must pass on. Alerts go by e-mail through `smtp_host` (empty: none) and to
    webhooks on `webhook_hosts` (host or host:port, comma-separated): a provider names its own address, so only these
    hosts are ever called. Timeouts are milliseconds and hold for every caller but batch.
    """

    model_config = SettingsConfigDict(env_prefix="KOMGICK_", extra="ignore", frozen=True)

    database_url: str = ""
    data: Path = Path("var")
    db_schema: str = Field(default="komgick", pattern=r"^[a-z_][a-z0-9_]{0,40}$", validation_alias="KOMGICK_SCHEMA")
    login_prefix: str = Field(default="", pattern=r"^([a-z_][a-z0-9_]{0,30})?$")
    logins_file: Path | None = None
    pool_size: int = Field(default=5, ge=1, le=100)
    statement_timeout_ms: int = Field(default=30_000, ge=0)
    idle_in_transaction_timeout_ms: int = Field(default=30_000, ge=0)
    lock_timeout_ms: int = Field(default=10_000, ge=0)
    log_level: str = "INFO"
    smtp_host: str = ""
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_starttls: bool = True
    mail_from: str = "komgick@localhost"
    webhook_hosts: str = ""
    public_url: str = Field(default="", pattern=r"^(https?://[^/\s]+)?$")

    @property
    def passwords_file(self) -> Path:
        """Where the passwords of the logins are kept (mode 0600); unused by the embedded database."""
        return self.logins_file or self.data / "logins.json"


def read_settings(data: Path | None = None) -> Settings:
    """The settings of this process; `data` (an option of every command) goes before KOMGICK_DATA."""
    return Settings() if data is None else Settings(data=data)
