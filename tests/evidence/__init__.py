"""Was it said? Signatures, chains, clocks, tags."""
