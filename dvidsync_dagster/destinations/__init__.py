"""What follows the source: the protocol that every kind of destination fills, and the kinds."""
