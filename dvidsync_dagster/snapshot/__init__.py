"""A snapshot: what a bucket holds of a repo, how it is written, and how it is read."""
