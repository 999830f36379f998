"""Pure rules of the month. Minutes are whole; the ledger of blocks is the one computation all figures come from."""
