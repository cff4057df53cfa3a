"""Where plans are applied."""
