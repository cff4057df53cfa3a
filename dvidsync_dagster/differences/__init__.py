"""What a comparison and a repair are made of: items, digests, rows, work. It names no data type."""
