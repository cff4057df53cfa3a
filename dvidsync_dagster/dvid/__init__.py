"""The client of a DVID server: requests, retries, errors, wire formats."""
