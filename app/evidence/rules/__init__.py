"""Pure parts of the evidence: signatures, what statements say, chains. `verify` uses the same ones offline."""
