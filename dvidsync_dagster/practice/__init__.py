"""Practice branches of a destination: making them, listing them, and what people did in them."""
