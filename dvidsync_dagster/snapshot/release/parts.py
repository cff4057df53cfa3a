"""Which tables of a branch make which files of a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.layout import branch_folder

LABELMAP, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "synapses"
"""What FlyEM calls the instances of a reconstruction."""

_NEURONS = {"body", "json"}
_ELEMENTS = {"x", "y", "z", "ordinal", "kind", "prop", "rels", "sv"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Instances, and the folder below the release's in which the files of each are; "" for itself."""

    labelmaps: Mapping[str, str]
    neurons: Mapping[str, str]
    elements: Mapping[str, str]

    @property
    def only_labelmap(self) -> str:
        """Its name; empty if there are several, or none."""
        return next(iter(self.labelmaps)) if len(self.labelmaps) == 1 else ""


def parts(dataset: Dataset) -> Parts:
    """By the columns that the tables have.

    Of each kind the files of one instance are in the release's own folder: of the only one, or of that which
    has FlyEM's name. Those of others are in folders of their own.
    """
    columns = {name: {column.name for column in dataset.columns(name)} for name in dataset}
    return Parts(
        labelmaps=_folders(
            (name.removesuffix("/mapping") for name in columns if name.endswith("/mapping")), LABELMAP
        ),
        neurons=_folders((name for name, there in columns.items() if there >= _NEURONS), NEURONS),
        elements=_folders((name for name, there in columns.items() if there >= _ELEMENTS), SYNAPSES),
    )


def _folders(instances: Iterator[str], usual: str) -> dict[str, str]:
    found = list(instances)
    return {name: "" if name == usual or len(found) == 1 else f"{branch_folder(name)}/" for name in found}
