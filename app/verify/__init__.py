"""THE AUDITOR: checks an export offline. Imports facts, policies, core and rules only; there is one set of rules."""
