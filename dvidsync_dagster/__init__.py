"""Copies of DVID servers that follow their source, driven by Dagster."""
