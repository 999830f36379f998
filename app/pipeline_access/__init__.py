"""The table of contents, continued: how people and machines sign in, and who gives whom which right.

One function per thing that can happen, one transaction each, committed before it returns. Every change is noted in
audit_event in the same transaction.

    machines      client credentials: add, rotate, end, exchange for a token
    people        persons, roles, invitations, the first admin
    joining       an invited person chooses her factors
    signing_in    passkey, password and TOTP, badge and PIN, recovery code
    own           what a signed-in person does with her own sessions and factors
"""

from __future__ import annotations

from app.access.principals import Principal
from app.pipeline_access.machines import (
    add_machine,
    end_machine,
    end_old_machine_secret,
    issue_machine_token,
    rotate_machine_secret,
)

__all__ = [
    "add_machine", "end_machine", "end_old_machine_secret", "issue_machine_token", "operator", "rotate_machine_secret",
]  # fmt: skip


def operator(name: str = "") -> Principal:
    """Who works on the command line: everything, noted under this name."""
    return Principal("operator", f"cli:{name or 'operator'}")
