"""Bringing a destination to its source's state where a comparison found differences."""
