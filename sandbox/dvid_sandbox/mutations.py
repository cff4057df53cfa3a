"""The operations on labels: merge, cleave, renumber. The two splits, which change voxels, are in `splits`.

Each announces itself when it starts, writes in the order of the real server, and announces that it is done.
The `reached` calls name the points between two writes at which a crash leaves the operation torn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_map
from dvid_sandbox.indices import LabelIndex, Modified
from dvid_sandbox.instance import MAX_MESSAGE_BYTES, Place
from dvid_sandbox.reading import read_labels, read_uint

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


def modified_by(exchange: Exchange, mutation_id: int) -> Modified:
    return Modified(mutation_id, exchange.user, exchange.app, exchange.moment.rfc3339())


def announcement(
    exchange: Exchange, place: Place, action: str, mutation_id: int, fields: dict[str, Any]
) -> dict[str, Any]:
    message = {
        "Action": action,
        "UUID": place.uuid,
        "MutationID": mutation_id,
        "Timestamp": exchange.moment.go_time(),
        **fields,
    }
    if exchange.user:
        message["User"] = exchange.user
    if exchange.app:
        message["App"] = exchange.app
    return message


def complete(lm: Labelmap, exchange: Exchange, place: Place, message: dict[str, Any], **more: int) -> None:
    message = {
        **message,
        **more,
        "Action": f"{message['Action']}-complete",
        "Timestamp": exchange.moment.go_time(),
    }
    lm.keep_mutation(place, lm.publish(exchange, message))


def only_post(exchange: Exchange, name: str) -> None:
    if exchange.method != "POST":
        raise Refused(f"{name} requests must be POST actions.")


def merge(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    only_post(exchange, "Merge")
    labels = read_labels(exchange.body, "Bad merge op JSON")
    shown = " ".join(str(each) for each in labels)
    if len(labels) < 2:
        raise Refused(f"invalid merge tuple [{shown}], need at least target and to-merge labels")
    if 0 in labels[1:]:
        raise Refused(f"invalid merge tuple [{shown}] -- cannot contain background label 0")
    try:
        mutation_id = _merge(lm, exchange, place, labels[0], list(dict.fromkeys(labels[1:])))
    except Refused as error:
        raise Refused(f"Error on merge: {error}") from None
    return Answer.json(f'{{"MutationID": {mutation_id}}}')


def _merge(lm: Labelmap, exchange: Exchange, place: Place, target: int, merged: list[int]) -> int:
    version = place.version
    mutation_id = lm.repo.new_mutation_id()
    indices = _indices_to_merge(lm, version, target, merged)

    message = announcement(exchange, place, "merge", mutation_id, {"Target": target, "Labels": merged})
    lm.publish(exchange, message)
    exchange.reached("announced")

    for index in indices:
        for supervoxel in index.supervoxels:
            lm.mapping.put(version, supervoxel, target)
    exchange.reached("mapping")

    _merge_into_index(lm, version, target, indices, modified_by(exchange, mutation_id))
    exchange.reached("target index")
    for label in merged:
        lm.indices.delete(version, label)

    for subscriber in lm.repo.subscribers(lm):
        subscriber.labels_merged(exchange, place, mutation_id, target, merged)
    complete(lm, exchange, place, message)
    return mutation_id


def _indices_to_merge(lm: Labelmap, version: int, target: int, merged: list[int]) -> list[LabelIndex]:
    """The indices of the labels that are merged into `target`.

    Raises:
        Refused: one of the labels, or the target, is not there.
    """
    indices = []
    for label in merged:
        index = lm.indices.get(version, label)
        if index is None:
            raise Refused(f"can't merge non-existent label {label}")
        if index.voxels == 0:
            raise Refused(f"can't merge label {label} with no voxels")
        indices.append(index)
    if lm.indices.get(version, target) is None:
        raise Refused(f"can't merge into a non-existent label {target}")
    return indices


def _merge_into_index(
    lm: Labelmap, version: int, target: int, indices: list[LabelIndex], modified: Modified
) -> None:
    """Adds the supervoxels of `indices` to the target's index.

    Raises:
        Refused: the target has one of the supervoxels already.
    """
    into = lm.indices.own(version, target)
    assert into is not None
    for index in indices:
        twice = into.supervoxels.keys() & index.supervoxels.keys()
        if twice:
            raise Refused(f"supervoxel {min(twice)} already in index for target label {target}")
    for index in indices:
        into.supervoxels.update(index.supervoxels)
        for blocks in index.supervoxels.values():
            into.surface.update(dict.fromkeys(blocks, modified.mutation_id))
    into.modified = modified
    lm.put_index(version, into)


def cleave(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    only_post(exchange, "Cleave")
    label = operand(exchange, "cleave target")
    # The label is gone even if the request is refused below.
    cleaved_label = lm.counters.new_label(place.version)
    if not exchange.body:
        raise Refused("no cleave supervoxels JSON was POSTed")
    supervoxels = read_labels(exchange.body, "bad cleave supervoxels JSON")
    mutation_id = lm.repo.new_mutation_id()
    fields = {"OrigLabel": label, "CleavedLabel": cleaved_label, "CleavedSupervoxels": supervoxels}
    message = announcement(exchange, place, "cleave", mutation_id, fields)
    text = go_map(message)
    if len(text) > MAX_MESSAGE_BYTES:
        del message["CleavedSupervoxels"]
        message["DataRef"] = lm.put_blob(text)
    lm.publish(exchange, message)
    exchange.reached("announced")

    cleaved, remaining = _cleave_index(
        lm, place, label, cleaved_label, supervoxels, modified_by(exchange, mutation_id)
    )
    exchange.reached("indices")
    for supervoxel in supervoxels:
        lm.mapping.put(place.version, supervoxel, cleaved_label)
    if supervoxels:
        lm.mapping.put(place.version, cleaved_label, 0)
    leaving = set(supervoxels)
    for subscriber in lm.repo.subscribers(lm):
        subscriber.label_cleaved(
            exchange,
            place,
            mutation_id,
            label,
            cleaved_label,
            lambda point: lm.volume.label_at(place.version, point) in leaving,
        )
    complete(lm, exchange, place, message, CleavedSize=cleaved, RemainSize=remaining)
    return Answer.json(f'{{"CleavedLabel": {cleaved_label}, "MutationID": {mutation_id}}}')


def _cleave_index(
    lm: Labelmap, place: Place, label: int, cleaved_label: int, supervoxels: list[int], modified: Modified
) -> tuple[int, int]:
    """Takes supervoxels from one index into a new one; gives the voxels cleaved and remaining."""
    version = place.version
    index = lm.indices.own(version, label)
    if index is None:
        raise Refused(f"cannot cleave non-existent label {label}")
    leaving: set[int] = set()
    for supervoxel in supervoxels:
        if supervoxel in index.supervoxels and supervoxel not in leaving:
            leaving.add(supervoxel)
        elif lm.mapping.get(version, supervoxel) != label:
            # One that is mapped here without voxels is left alone: splits can leave such.
            raise Refused(
                f"cannot cleave supervoxel {supervoxel}, which does not exist in label {label} ({lm.name})"
            )
    if len(leaving) == len(index.supervoxels):
        raise Refused(f"cannot cleave all supervoxels from the label {label}")
    new = LabelIndex(cleaved_label, modified=modified)
    for supervoxel in leaving:
        blocks = index.supervoxels.pop(supervoxel)
        new.supervoxels[supervoxel] = blocks
        touched = dict.fromkeys(blocks, modified.mutation_id)
        new.surface.update(touched)
        index.surface.update(touched)
    index.modified = modified
    lm.put_index(version, new)
    lm.put_index(version, index)
    return new.voxels, index.voxels


def renumber(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    only_post(exchange, "Renumber")
    pairs = read_labels(exchange.body, "Bad renumber op JSON, must be list of numbers")
    if len(pairs) % 2:
        raise Refused("Bad renumber op JSON, must be even list of numbers [new1, old1, new2, old2, ...]")
    try:
        for new, old in zip(pairs[::2], pairs[1::2], strict=True):
            _renumber(lm, exchange, place, new, old)
    except Refused as error:
        raise Refused(f"Error on merge: {error}") from None
    return Answer()


def _renumber(lm: Labelmap, exchange: Exchange, place: Place, new: int, old: int) -> None:
    version = place.version
    if lm.indices.get(version, new) is not None:
        raise Refused(f"target label for renumber ({new}) already exists in mapping")
    mutation_id = lm.repo.new_mutation_id()
    index = lm.indices.get(version, old)
    if index is None:
        raise Refused(f"can't renumber non-existent body with label {old}")
    message = announcement(exchange, place, "renumber", mutation_id, {"NewLabel": new, "OrigLabel": old})
    lm.publish(exchange, message)
    exchange.reached("announced")

    if lm.mapping.get(version, new) is None:
        lm.mapping.put(version, new, 0)
    for supervoxel in index.supervoxels:
        lm.mapping.put(version, supervoxel, new)
    exchange.reached("mapping")
    if index.supervoxels:
        renamed = index.copy()
        renamed.label = new
        renamed.modified = modified_by(exchange, mutation_id)
        lm.put_index(version, renamed)
    exchange.reached("new index")
    lm.indices.delete(version, old)
    for subscriber in lm.repo.subscribers(lm):
        subscriber.labels_merged(exchange, place, mutation_id, new, [old])
    complete(lm, exchange, place, message)


def operand(exchange: Exchange, use: str) -> int:
    if len(exchange.parts) < 5:
        command = "cleave" if exchange.parts[3] == "cleave" else "split"
        raise Refused(f"ERROR: DVID requires label ID to follow '{command}' command")
    label = read_uint(exchange.parts[4])
    if label == 0:
        raise Refused(f"Label 0 is protected background value and cannot be used as {use}\n")
    return label
