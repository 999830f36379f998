"""The device beside the door: reads tags, signs taps, keeps them until the server has them. Imports no `app`."""

__version__ = "0.1.0"
