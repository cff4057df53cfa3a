"""Neuronjson instances: neurons and schemas written and deleted."""

from __future__ import annotations

from dvidsync_dagster.compare.items import Pair, find
from dvidsync_dagster.compare.neuronjson import NEURON_SCHEMAS, NEURONS, read_schema
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.repair.work import Work

NEURONS_PER_REQUEST = 1000


def repair_neuronjson(pair: Pair, work: Work) -> None:
    """Replace the neurons that differ by the source's, with users and times; delete the others; schemas."""
    version, name = pair.source.version, pair.source.name
    _repair_schemas(pair, work)
    found, _ = find(NEURONS, pair)
    if found is None:
        return
    written, deleted = found.keys[found.at_source].tolist(), found.keys[~found.at_source].tolist()
    source = Neuronjson(pair.source.client, name)
    copy = Neuronjson(pair.copy.client, pair.copy.name)
    if work.plan(version, name, "delete neuron", deleted):
        for body in deleted:
            work.still_owner()
            copy.delete(version, body)
    if work.plan(version, name, "write neuron", written):
        for start in range(0, len(written), NEURONS_PER_REQUEST):
            records = source.records(version, written[start : start + NEURONS_PER_REQUEST])
            if records:
                work.still_owner()
                copy.replace(version, list(records.items()))


def _repair_schemas(pair: Pair, work: Work) -> None:
    version, name = pair.source.version, pair.source.name
    found, _ = find(NEURON_SCHEMAS, pair)
    if found is None:
        return
    for what, mask in (("write schema", found.at_source), ("delete schema", ~found.at_source)):
        schemas = found.keys[mask].tolist()
        if work.plan(version, name, what, schemas):
            for schema in schemas:
                work.still_owner()
                content = read_schema(pair.source, schema)
                pair.copy.client.change(
                    "DELETE" if content is None else "POST",
                    node_path(version, pair.copy.name, schema),
                    body=content or b"",
                )
