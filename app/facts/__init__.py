"""The nouns: frozen, every field explained. `registry` who and what exists, `statements` what was said, `derived`
what follows, `directory` look-ups for rules."""

from app.facts.derived import (
    BillingLine,
    DeclineOutcome,
    Finding,
    MonthAccount,
    Share,
    TapRef,
    Visit,
)  # fmt: skip
from app.facts.directory import Directory, RegistryRows
from app.facts.registry import (
    Absence,
    Client,
    Contact,
    Device,
    Employment,
    Order,
    OrderService,
    Outage,
    Price,
    Provider,
    Tag,
    TagRefusal,
    Unit,
)  # fmt: skip
from app.facts.statements import (
    Attest,
    Correction,
    Decline,
    Dispute,
    ExcessReason,
    ManualVisit,
    PlannedVisit,
    Resolution,
    Tap,
)  # fmt: skip

__all__ = [
    "Absence", "Attest", "BillingLine", "Client", "Contact", "Correction", "Decline", "DeclineOutcome", "Device",
    "Directory", "Dispute", "Employment", "ExcessReason", "Finding", "ManualVisit", "MonthAccount", "Order",
    "OrderService", "Outage", "PlannedVisit", "Price", "Provider", "RegistryRows", "Resolution", "Share", "Tag",
    "TagRefusal", "Tap", "TapRef", "Unit", "Visit",
]  # fmt: skip
