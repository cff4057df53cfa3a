"""What this checkout's Dagster loads: a folder with a `defs.yaml` for each repo that is to be followed."""
