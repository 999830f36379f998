"""WHAT HAPPENED? From taps and people's statements to visits and their findings."""
