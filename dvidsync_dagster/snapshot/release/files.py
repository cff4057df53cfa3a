"""The names of a release's files, and what writes each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.layout import branch_folder
from dvidsync_dagster.snapshot.release import connectome, labels
from dvidsync_dagster.snapshot.release.neurons import Neurons
from dvidsync_dagster.snapshot.release.parts import Parts, parts
from dvidsync_dagster.snapshot.release.synapses import Synapses, read_synapses

Write = Callable[[Path], None]

_ALL = "minconf-0.0"
"""No point is left out for its confidence."""


def made_of(dataset: Dataset, synced: Mapping[str, str], notes: list[str]) -> Iterator[tuple[str, Write]]:
    """One file after the other. Each is to be written before the next is asked for.

    Args:
        synced: the labelmap under an instance of annotations.
        notes: gets what the files do not hold.
    """
    found = parts(dataset)
    tag = _tag(dataset, found)
    for labelmap, folder in found.labelmaps.items():
        yield (
            f"{folder}tables/complete-nonsingleton-mapping-{tag}.feather",
            partial(labels.write_mapping, dataset, labelmap),
        )
        yield (
            f"{folder}tables/body-size-cache-{tag}.feather",
            partial(labels.write_sizes, dataset, labelmap, notes),
        )
    for instance, folder in found.neurons.items():
        yield from _annotations(dataset, instance, folder, tag)
    for instance, folder in found.elements.items():
        labelmap = synced.get(instance, found.only_labelmap)
        if labelmap not in found.labelmaps:
            notes.append(f"{instance}: left out, as it is not known which labelmap lies under it")
            continue
        synapses = read_synapses(dataset, instance, labelmap)
        if synapses is not None:
            notes += synapses.notes
            yield from _connectome(synapses, _of_bodies(dataset, found, labelmap), folder, tag)


def _annotations(dataset: Dataset, instance: str, folder: str, tag: str) -> Iterator[tuple[str, Write]]:
    neurons = Neurons(dataset, instance)
    yield f"{folder}tables/body-annotations-{tag}.feather", neurons.write
    yield f"{folder}flat-connectome/body-annotations-{tag}-{_ALL}.feather", neurons.write_for_neuprint


def _connectome(
    synapses: Synapses, bodies: pa.Table | None, folder: str, tag: str
) -> Iterator[tuple[str, Write]]:
    named = f"{folder}flat-connectome/{{}}-{tag}-{_ALL}.feather"
    yield named.format("syn-points"), partial(connectome.write_points, synapses)
    yield named.format("syn-partners"), partial(connectome.write_partners, synapses)
    yield named.format("connectome-weights"), partial(connectome.write_weights, synapses)
    yield named.format("body-stats"), partial(connectome.write_stats, synapses, bodies)


def _of_bodies(dataset: Dataset, found: Parts, labelmap: str) -> pa.Table | None:
    """What is shown of a labelmap's bodies."""
    instance = f"{labelmap}_annotations"
    if instance not in found.neurons and len(found.neurons) == len(found.labelmaps) == 1:
        [instance] = found.neurons
    return Neurons(dataset, instance).of_bodies() if instance in found.neurons else None


def _tag(dataset: Dataset, found: Parts) -> str:
    """The day of the last edit, and the first letters of the version, as flyem-snapshot has it."""
    days = [
        pc.max(batch["log_time"]).as_py()
        for labelmap in found.labelmaps
        if f"{labelmap}/edits" in dataset
        for batch in dataset.batches(f"{labelmap}/edits", ["log_time"])
        if len(batch)
    ]
    last = max(days) if days else dataset.log_time
    version = branch_folder(dataset.uuid)[:6]
    return f"{last:%Y-%m-%d}-{version}" if last else version
