"""What the log says happened: typed facts, each with the place in the log that it comes from."""
