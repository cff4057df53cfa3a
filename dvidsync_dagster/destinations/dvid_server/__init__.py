"""A DVID server as a destination: a batch of events becomes a graph of commands, and commands requests."""
