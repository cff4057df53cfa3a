"""What a DVID server holds, read over HTTP in the form of the recordings' state files, and compared."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import numpy as np
import orjson

from dvid_sandbox import wire

State = dict[str, Any]
"""`versions` and `data`, as `sandbox/tests/recordings/README.md` tells. Supervoxels that were split away are
left out of a labelmap's `mapping` (the recordings list them with 0)."""

EXAMPLES = 3
LABELS_PER_REQUEST = 10_000


def read_state(
    url: str,
    root: str,
    admin_token: str | None = None,
    *,
    token: str | None = None,
    indices: bool = False,
    instances: Iterable[str] | None = None,
) -> State:
    """Everything that people edit in one repo, in all its versions.

    Args:
        url: the server.
        root: the repo's root UUID.
        admin_token: goes along with each read, for servers that want it.
        token: `Authorization: Bearer`.
        indices: adds what the label indices say to each labelmap: `lastmod` {label: [user, app]} and
            `supervoxels` {label: {supervoxel: voxels}}.
        instances: only these; all by default.
    """
    with httpx.Client(
        base_url=url,
        timeout=60,
        params={"admintoken": admin_token} if admin_token else None,
        headers={"Authorization": f"Bearer {token}"} if token else None,
    ) as client:
        info = _json(client, f"/api/repo/{root}/info")
        versions = {
            uuid: {
                "parents": sorted(_uuids(info, node["Parents"])),
                "branch": node["Branch"],
                "locked": node["Locked"],
                "note": node["Note"],
                "log": [line.split("  ", 1)[-1] for line in node["Log"] or []],
            }
            for uuid, node in info["DAG"]["Nodes"].items()
        }
        wanted = None if instances is None else set(instances)
        data: dict[str, Any] = {}
        for name, instance in sorted(info["DataInstances"].items()):
            read = READERS.get(instance["Base"]["TypeName"])
            if read is None or (wanted is not None and name not in wanted):
                continue
            for uuid in versions:
                path = f"/api/node/{uuid}/{name}"
                data[f"{uuid}/{name}"] = read(client, path)
                if indices and "nextlabel" in data[f"{uuid}/{name}"]:
                    state = data[f"{uuid}/{name}"]
                    state |= _indices(client, path, [int(label) for label in state["labels"]])
        return {"versions": versions, "data": data}


def read_labelmap(client: httpx.Client, path: str) -> State:
    labels: list[int] = _json(client, f"{path}/existing-labels")
    sizes = _in_slices(client, f"{path}/sizes", labels)
    answer = client.get(f"{path}/mappings", params={"format": "binary"})
    answer.raise_for_status()
    listed = np.frombuffer(answer.content, "<u8").reshape(-1, 2)
    # A supervoxel is its own body's, or it is listed; bodies that are no supervoxel come back as 0.
    asked = sorted({*labels, *listed[:, 0].tolist()})
    bodies = _in_slices(client, f"{path}/mapping", asked)
    return {
        "labels": {str(label): size for label, size in zip(labels, sizes, strict=True)},
        "mapping": {str(each): body for each, body in zip(asked, bodies, strict=True) if body},
        "nextlabel": _json(client, f"{path}/nextlabel")["nextlabel"],
    }


def read_keyvalue(client: httpx.Client, path: str) -> State:
    keys: list[str] = _json(client, f"{path}/keys") or []
    if not keys:
        return {}
    answer = client.request("GET", f"{path}/keyvalues", content=wire.Keys(keys=keys).SerializeToString())
    answer.raise_for_status()
    found = wire.KeyValues.FromString(answer.content).kvs
    values = {each.key: base64.b64encode(each.value).decode() for each in found}
    if set(values) != set(keys):
        raise RuntimeError(f"{path}: keys lists {sorted(keys)}, keyvalues gives {sorted(values)}")
    return values


def read_neuronjson(client: httpx.Client, path: str) -> State:
    neurons = _json(client, f"{path}/all?show=all") or []
    return {str(neuron["bodyid"]): neuron for neuron in neurons}


def read_annotation(client: httpx.Client, path: str) -> list[Any]:
    blocks = _json(client, f"{path}/all-elements") or {}
    return sorted((element for block in blocks.values() for element in block or []), key=_element_order)


READERS: dict[str, Callable[[httpx.Client, str], Any]] = {
    "labelmap": read_labelmap,
    "keyvalue": read_keyvalue,
    "neuronjson": read_neuronjson,
    "annotation": read_annotation,
}


def differences(a: State, b: State, *, ignore_times: bool = True, next_labels: bool = True) -> list[str]:
    """What differs between two states: one line per kind and place, with counts and first examples.

    Args:
        ignore_times: leaves out the `FIELD_time` of neurons, which only a faithful copy keeps.
        next_labels: compares the label counters too.
    """
    found = _mapping_differences("versions", a["versions"], b["versions"])
    found += _keys_differences("data", a["data"], b["data"])
    for place in sorted(a["data"].keys() & b["data"].keys()):
        one, other = a["data"][place], b["data"][place]
        if isinstance(one, list) or isinstance(other, list):
            found += _mapping_differences(place, _elements(one), _elements(other))
        elif "nextlabel" in one or "nextlabel" in other:
            found += _labelmap_differences(place, one, other, next_labels)
        else:
            found += _mapping_differences(place, _timed(one, ignore_times), _timed(other, ignore_times))
    return found


def contradictions(state: State) -> list[str]:
    """Where a server's mapping and indices disagree, which a torn operation leaves. Needs `indices`."""
    found = []
    for place, labelmap in state["data"].items():
        if "supervoxels" not in labelmap:
            continue
        by_index = {
            supervoxel: int(label) for label, parts in labelmap["supervoxels"].items() for supervoxel in parts
        }
        if sum(map(len, labelmap["supervoxels"].values())) != len(by_index):
            found.append(f"{place}: a supervoxel is in two bodies")
        found += _mapping_differences(
            f"{place} body by mapping and by index", _present(labelmap["mapping"]), by_index
        )
    return found


def _labelmap_differences(place: str, a: State, b: State, next_labels: bool) -> list[str]:
    found = _mapping_differences(f"{place} voxels of body", a["labels"], b["labels"])
    found += _mapping_differences(f"{place} body of supervoxel", *map(_present, (a["mapping"], b["mapping"])))
    if next_labels and a["nextlabel"] != b["nextlabel"]:
        found.append(f"{place} nextlabel: {a['nextlabel']} and {b['nextlabel']}")
    if "supervoxels" in a and "supervoxels" in b:
        found += _mapping_differences(f"{place} supervoxels of body", a["supervoxels"], b["supervoxels"])
        found += _mapping_differences(f"{place} user and app of body", a["lastmod"], b["lastmod"])
    return found


def _mapping_differences(place: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    other = [key for key in a.keys() & b.keys() if a[key] != b[key]]
    examples = "; ".join(f"{key}: {a[key]!r} and {b[key]!r}" for key in sorted(other, key=_order)[:EXAMPLES])
    return _keys_differences(place, a, b) + (
        [f"{place}: {len(other)} of {len(a)} differ: {examples}"] if other else []
    )


def _keys_differences(place: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    found = []
    for name, some, others in (("first", a, b), ("second", b, a)):
        only = sorted(some.keys() - others.keys(), key=_order)
        if only:
            examples = "; ".join(f"{key}: {str(some[key])[:100]}" for key in only[:EXAMPLES])
            found.append(f"{place}: {len(only)} only in the {name}: {examples}")
    return found


def _present(mapping: Mapping[str, int]) -> dict[str, int]:
    return {supervoxel: body for supervoxel, body in mapping.items() if body}


def _timed(values: Mapping[str, Any], ignore_times: bool) -> Mapping[str, Any]:
    if not ignore_times:
        return values
    return {
        key: {name: field for name, field in value.items() if not name.endswith("_time")}
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def _elements(elements: Iterable[State]) -> dict[str, Any]:
    """Elements by position. Tags and relations are sets; an absent list is an empty one."""
    result: dict[str, list[Any]] = {}
    for element in elements:
        plain = {
            **element,
            "Tags": sorted(element.get("Tags") or []),
            "Rels": sorted(element.get("Rels") or [], key=str),
            "Prop": element.get("Prop") or {},
        }
        result.setdefault(",".join(map(str, element["Pos"])), []).append(plain)
    return {position: sorted(found, key=str) for position, found in result.items()}


def _element_order(element: State) -> tuple[list[int], str]:
    return element["Pos"], element["Kind"]


def _order(key: str) -> tuple[int, int, str]:
    return (0, int(key), "") if key.isdecimal() and key.isascii() else (1, 0, key)


def _uuids(info: State, numbers: list[int]) -> list[str]:
    by_number = {node["VersionID"]: uuid for uuid, node in info["DAG"]["Nodes"].items()}
    return [by_number[number] for number in numbers]


def _in_slices(client: httpx.Client, path: str, numbers: list[int]) -> list[int]:
    result: list[int] = []
    for start in range(0, len(numbers), LABELS_PER_REQUEST):
        result += _json(client, path, numbers[start : start + LABELS_PER_REQUEST])
    return result


def _indices(client: httpx.Client, path: str, labels: list[int]) -> State:
    lastmod: dict[str, list[str]] = {}
    supervoxels: dict[str, dict[str, int]] = {}
    for start in range(0, len(labels), LABELS_PER_REQUEST):
        asked = orjson.dumps(labels[start : start + LABELS_PER_REQUEST])
        answer = client.request("GET", f"{path}/indices", content=asked)
        answer.raise_for_status()
        for index in wire.LabelIndices.FromString(answer.content).indices:
            lastmod[str(index.label)] = [index.last_mod_user, index.last_mod_app]
            parts = supervoxels.setdefault(str(index.label), {})
            for block in index.blocks.values():
                for supervoxel, voxels in block.counts.items():
                    parts[str(supervoxel)] = parts.get(str(supervoxel), 0) + voxels
    return {"lastmod": lastmod, "supervoxels": supervoxels}


def _json(client: httpx.Client, path: str, body: Any = None) -> Any:
    answer = client.request("GET", path, content=None if body is None else orjson.dumps(body))
    if answer.status_code != 200:
        raise RuntimeError(f"GET {path}: {answer.status_code} {answer.text[:300]}")
    return orjson.loads(answer.content) if answer.content else None
