"""The device beside the door: reader, touches, outbox, sender. Imports nothing of `app`."""
