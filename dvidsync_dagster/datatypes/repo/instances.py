"""Instances, made at the destination with the source's settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import orjson

from dvidsync_dagster.datatypes.repo.commands import MakeInstance
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.repo import Instance, RepoInfo, make_instance, read_repo_info
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import DONE, PRESENT, Outcome, refused, refused_by

_LISTS = ("BlockSize", "VoxelSize", "VoxelUnits")
_TEXTS = ("MaxDownresLevel", "Background", "GridStore")
_COMPRESSIONS = {"LZ4": "lz4", "gzip": "gzip", "Snappy": "snappy", "JPEG": "jpeg", "No": "none"}


def creation_settings(instance: Instance) -> dict[str, str]:
    """What `POST /api/repo/UUID/instance` wants, from what the source's info says of an instance."""
    settings = {"typename": instance.typename, "dataname": instance.name}
    for name in _LISTS:
        values = instance.settings.get(name)
        if isinstance(values, list) and values:
            settings[name] = ",".join(str(value) for value in values)
    for name in _TEXTS:
        value = instance.settings.get(name)
        if value not in (None, ""):
            settings[name] = str(value)
    compression = _COMPRESSIONS.get(str(instance.base.get("Compression", "")).split(" ")[0])
    if compression:
        settings["Compression"] = compression
    if not instance.is_versioned:
        settings["Versioned"] = "false"
    return settings


class InstanceWriter:
    """Makes instances at the destination.

    Args:
        source: the source's repo, as discovered.
        followed: whether an instance (by name) is one of those that are followed.
        about_to_make: told of each instance before it is made, with the version.
        sorts_anew: data types whose instances must be told to sort what they have by a new labelmap.
        note: says something once per run.
    """

    def __init__(
        self,
        source: RepoInfo,
        destination: Transport,
        root: str,
        *,
        followed: Callable[[str], bool],
        about_to_make: Callable[[str, str], None],
        sorts_anew: Collection[str],
        note: Callable[[str], None],
    ) -> None:
        self._source = source
        self._destination = destination
        self._root = root
        self._followed = followed
        self._about_to_make = about_to_make
        self._sorts_anew = sorts_anew
        self._note = note

    def apply(self, new: MakeInstance) -> Outcome:
        """Raises what `Transport.change` raises; a refusal is an outcome."""
        there = self._there().get(new.instance)
        if there is not None:
            if there.typename == new.data_type:
                self._settle(new)
                return PRESENT
            return refused(f"{new.instance} is there, but as a {there.typename}, not a {new.data_type}")
        instance = self._source.instances.get(new.instance)
        if instance is None or instance.typename != new.data_type:
            self._note(
                f"{new.data_type} {new.instance} was made in the log, but the source has no such instance now"
            )
            return DONE
        if not self._followed(new.instance):
            self._note(f"{new.data_type} {new.instance} was made at the source and is not followed")
            return DONE
        self._about_to_make(new.version, new.instance)
        try:
            make_instance(self._destination, new.version, creation_settings(instance))
        except RequestRefused as refusal:
            return refused_by(refusal)
        self._settle(new)
        return DONE

    def _there(self) -> Mapping[str, Instance]:
        return read_repo_info(self._destination, self._root).instances

    def _settle(self, new: MakeInstance) -> None:
        """Give an instance its tags, and every instance that follows it, or that it follows, its syncs."""
        there = self._there()
        for name, instance in self._source.instances.items():
            present = there.get(name)
            if present is None or not self._followed(name):
                continue
            if name == new.instance and _tags(instance).items() - _tags(present).items():
                self._change(new, name, "tags", orjson.dumps(_tags(instance)))
            syncs = [
                other
                for other in instance.syncs
                if other in there and other not in present.syncs and new.instance in (name, other)
            ]
            if syncs:
                self._change(new, name, "sync", orjson.dumps({"sync": ",".join(syncs)}))
                if instance.typename in self._sorts_anew and name != new.instance:
                    # It can have elements already, which are not sorted by the new labels yet.
                    self._change(new, name, "reload", b"")

    def _change(self, new: MakeInstance, name: str, endpoint: str, body: bytes) -> None:
        try:
            self._destination.change("POST", node_path(new.version, name, endpoint), body=body)
        except RequestRefused as refusal:
            self._note(f"{name}: its {endpoint} cannot be set as at the source: {refusal.text}")


def _tags(instance: Instance) -> dict[str, str]:
    tags = instance.base.get("Tags")
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}
