"""One module per DVID data type: its messages, how they merge, and how they are applied."""
