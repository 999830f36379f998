"""`python -m device_agent` is `komgick-agent`."""

from device_agent.cli import main

main()
