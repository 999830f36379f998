"""Pure rules: pairing of taps, visits of stays, plans and declines, plausibility, what is accepted."""
