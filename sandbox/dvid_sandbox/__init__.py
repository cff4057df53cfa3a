"""A DVID server to try things on: it behaves like the real one. With a broker and proofreaders."""
