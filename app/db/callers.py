"""Who asks the database: the class of caller is the login (EVIDENCE.md section 4), never only a setting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Login(StrEnum):
    """The classes of callers; all but `batch` are logins of their own in PostgreSQL, `batch` is the owner."""

    PROVIDER = "provider"
    CITY = "city"
    INGEST = "ingest"
    AUTH = "auth"
    BATCH = "batch"


# The logins that `komgick db prepare` makes.
DOOR_LOGINS = (Login.PROVIDER, Login.CITY, Login.INGEST, Login.AUTH)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a transaction runs. Use the class methods.

    `provider_id` only for a provider: row-level security shows that provider's rows and nothing else. `district`
    only for the city: None is all districts; the database does not enforce districts, the doors do.
    """

    login: Login
    provider_id: str | None = None
    district: str | None = None

    @classmethod
    def provider(cls, provider_id: str) -> Caller:
        """A person or machine of one provider. ValueError for an empty id: it would see nothing and hide a bug."""
        if not provider_id:
            raise ValueError("a provider caller needs its provider_id")
        return cls(Login.PROVIDER, provider_id=provider_id)

    @classmethod
    def city(cls, district: str | None = None) -> Caller:
        """The municipality's own people and machines; a commissioner with the own district."""
        return cls(Login.CITY, district=district)

    @classmethod
    def ingest(cls) -> Caller:
        """The tap door, and nothing else."""
        return cls(Login.INGEST)

    @classmethod
    def auth(cls) -> Caller:
        """People, sessions, factors, grants: before it is known who calls."""
        return cls(Login.AUTH)

    @classmethod
    def batch(cls) -> Caller:
        """The owner: import, export, rebuild, close. No door of the network logs in as this."""
        return cls(Login.BATCH)
