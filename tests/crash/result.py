"""What a run of the harness came to: the one JSON object, and whether it is good."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field, fields

_BEGAN = time.monotonic()


def say(line: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"crash {time.monotonic() - _BEGAN:6.1f} s: {line}\n")
    sys.stderr.flush()


@dataclass
class Result:
    """Counts. All but the first three and the mutants must be 0, every mutant caught, and `problems` empty."""

    kills: int = 0
    cuts: int = 0
    taps: int = 0
    lost: int = 0
    acked_missing: int = 0
    doubled: int = 0
    invented: int = 0
    undrained: int = 0
    mutants: int = 0
    mutants_caught: int = 0
    problems: list[str] = field(default_factory=list)

    def wrong(self, name: str, found: list[str], where: str) -> None:
        """Count what was found of one of the zeros, and say it."""
        if found:
            setattr(self, name, getattr(self, name) + len(found))
            say(f"{where}: {name} {len(found)}: {', '.join(found[:10])}")

    def problem(self, line: str) -> None:
        """Something else that must not be."""
        self.problems.append(line)
        say(f"PROBLEM {line}")

    def add(self, other: Result) -> None:
        """Count what another part counted."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def good(self) -> bool:
        """Whether the zeros are zeros, every mutant was caught and nothing else was wrong."""
        zeros = (self.lost, self.acked_missing, self.doubled, self.invented, self.undrained)
        return not any(zeros) and self.mutants == self.mutants_caught and not self.problems

    def as_text(self) -> str:
        """A line a count, and the problems."""
        counts = [f"{name:>15} {value}" for name, value in asdict(self).items() if name != "problems"]
        return "\n".join([*counts, *self.problems]) + "\n"

    def as_json(self) -> str:
        """One line."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "problems"})
