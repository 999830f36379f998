"""The auditor's check."""
