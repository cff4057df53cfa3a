"""A labelmap's half of a snapshot: the body of each supervoxel, what changed it, and how large bodies are.

| module | holds |
| --- | --- |
| `tables` | the tables and their columns |
| `side` | the half itself |
| `changes` | from events to what changes in the tables |
| `left_to_source` | what messages leave to the source |
| `supervoxels`, `bodies`, `edits` | each table while events are replayed in memory |
| `whole`, `all_bodies` | all of it at a committed version |
| `items` | what the tables hold, as a comparison lists it |
"""
