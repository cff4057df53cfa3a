"""From claims to groups: what waits for what, and which operations one command can repeat. No I/O."""
