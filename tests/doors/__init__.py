"""The doors, through real HTTP."""
