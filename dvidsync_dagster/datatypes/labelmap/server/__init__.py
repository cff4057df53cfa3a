"""Labelmaps at a DVID server that follows: events become commands, and commands requests."""
