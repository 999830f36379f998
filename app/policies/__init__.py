"""What a municipality may decide: dated values with source and text, never constants in a rule (DOMAIN.md 9).

`PolicyBook.built_in()` has the values of DOMAIN.md; `with_overrides` lays the municipality's own (policies.toml) over
them; `book.on(local_date)` is the `Policy` a rule asks. Rules get the book as an argument.
"""

from app.policies.book import DatedValue, PolicyBook
from app.policies.checks import check_value
from app.policies.keys import ALWAYS, HOLDS, KEYS, MAY_HOLD, PolicyKey
from app.policies.policy import DeclineShare, Policy
from app.policies.toml import read_policies, write_policies

__all__ = [
    "ALWAYS",
    "HOLDS",
    "KEYS",
    "MAY_HOLD",
    "DatedValue",
    "DeclineShare",
    "Policy",
    "PolicyBook",
    "PolicyKey",
    "check_value",
    "read_policies",
    "write_policies",
]
