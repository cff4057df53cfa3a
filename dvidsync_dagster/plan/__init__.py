"""From records to a graph of operations: order, deduplicate, merge. Pure data, no I/O."""
