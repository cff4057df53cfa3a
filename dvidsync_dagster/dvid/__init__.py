"""Talking to a DVID server: the transport, and one module for each API."""
