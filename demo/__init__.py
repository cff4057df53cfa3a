"""The whole way on one machine: ``python -m demo``, or ``make demo`` in a checkout.

| module | holds |
| --- | --- |
| `servers` | a broker, a source, a destination that is a copy of it, and people who work on the source |
| `setting` | the folder of the demo, the configuration, the Dagster instance |
| `story` | work, run, compare, and what is told of it |
| `ui` | Dagster's UI and daemon as a process |
"""
