"""Knows nothing about care: clock, local time, ids, minutes, settings, log."""
