"""KomGick: from a tag on the door to the month's invoice basis (README.md shows the path)."""
