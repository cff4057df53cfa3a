"""One run: what it reads of the log, how it brings that to a destination, and what it tells of it."""
