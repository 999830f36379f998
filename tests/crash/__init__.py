"""Crashes: `deploy/run crash [--kills N] [--seed S] [--json]`. Only the hand, the tags and the network are pretended.

1. kills.py: real agents (`komgick-agent run`, simulated tags through the real reader code) tap all the time, over an
   unkind network (proxy.py), at a real `komgick serve` with the embedded PostgreSQL. Agents, server, PostgreSQL's head,
   one of its connections, or the whole machine are killed by SIGKILL, some at random moments, some while a request is
   under way. **At each kill, with the server down, every statement that a device takes for received must be in the
   database**: an end-state check would not see a loss that the devices heal. In mid-run an older backup of the database
   is put back, and a device gets an older copy of its disk. At the end every green light is in the database exactly
   once, nothing is there that no device said, nothing waits, and a rebuild of what was derived differs nowhere.
2. disks.py: full and read-only disks on both sides. torn.py: outbox files torn in 500 ways.
3. mutants: deliberate faults, each in a process of its own; each must be caught by its scenario, and the same scenario
   without the fault must find nothing. The shipped code has no switch for them.

The seed decides who is killed, when, what the network does, which wounds files get; how the processes interleave it
cannot decide.

**What this does not show: power loss.** After SIGKILL the kernel still writes what a process has written. That a commit
is on the disk before anybody is told rests on fsync: PostgreSQL's settings, which are looked at when a server starts
(and one of the mutants is a server that does not look), and the outbox's `synchronous=FULL`, which is read from the
device's own connection. What a power cut leaves of a file is covered by the torn files. See deploy/decisions.
"""
