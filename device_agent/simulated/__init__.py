"""Tags that exist in memory only and answer like the real ones, so that the whole chain runs without hardware.

They know nothing of nfcpy: bytes in, bytes out. nfcpy's own reader and tag code talks to them through reader.py
(`sim:`) or, from another process, over its UDP driver (udp.py here).
"""
