"""Positions in the mutation log: topics, bounded reading, checkpoints, quarantine, archive."""
