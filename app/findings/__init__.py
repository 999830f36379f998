"""Findings: codes, texts, identity, resolutions joined at read; below the visits."""
