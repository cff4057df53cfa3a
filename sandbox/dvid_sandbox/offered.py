"""What the sandbox answers. What else DVID has gets status 501 and a text: nothing is taken and ignored."""

from __future__ import annotations

from collections.abc import Iterable

from dvid_sandbox.exchange import Exchange, Lacking

EVERYWHERE = frozenset({"u", "app", "interactive", "throttle"})
"""Who asks, and hints about load, which change no answer of a server with nothing else to do."""

_BOUNDS = "minx maxx miny maxy minz maxz exact"
_COMMON = {"blobstore": "", "info": "", "sync": "replace", "tags": "replace"}
_PACKED = "json jsontar tar check"
_SHOWN = "show fields"

PARAMETERS: dict[str, dict[str, str]] = {
    "annotation": {
        "all-elements": "",
        "blocks": "kafkalog",
        "element": "kafkalog",
        "elements": "kafkalog",
        "label": "relationships",
        "labels": "",
        "move": "kafkalog",
        "reload": "inmemory check",
        "scan": "byCoord keysOnly",
        "tag": "relationships",
    },
    "keyvalue": {
        "key": "byte_start byte_end",
        "keyrange": "",
        "keyrangevalues": _PACKED,
        "keys": "",
        "keyvalues": _PACKED,
        "mutations": "",
    },
    "labelmap": {
        "blocks": "scale compression supervoxels downres noindexing",
        "cleave": "",
        "extents": "",
        "existing-labels": "",
        "index": "metadata-only",
        "index-version": "",
        "indices": "",
        "indices-compressed": "",
        "ingest-supervoxels": "scale",
        "label": "supervoxels scale",
        "labels": "supervoxels scale hash",
        "lastmod": "",
        "listlabels": "start number sizes",
        "mapping": "nolookup hash",
        "mappings": "format",
        "maxlabel": "",
        "merge": "",
        "metadata": "",
        "mutations": "",
        "nextlabel": "",
        "raw": "supervoxels compression mutate scale",
        "renumber": "",
        "resolution": "",
        "set-nextlabel": "ceiling",
        "size": "supervoxels",
        "sizes": "supervoxels hash",
        "sparsevol": f"{_BOUNDS} supervoxels compression format scale",
        "sparsevol-by-point": f"{_BOUNDS} supervoxels compression format scale",
        "sparsevol-coarse": f"{_BOUNDS} supervoxels",
        "sparsevol-size": "supervoxels",
        "sparsevols-coarse": _BOUNDS,
        "specificblocks": "blocks supervoxels compression scale",
        "split": "",
        "split-supervoxel": "split remain downres",
        "supervoxel-sizes": "",
        "supervoxel-splits": "",
        "supervoxels": "",
    },
    "neuronjson": {
        "all": _SHOWN,
        "fields": "counts",
        "fieldtimes": "",
        "json_schema": "",
        "key": f"{_SHOWN} replace conditional conditionals",
        "keyrange": "",
        "keyrangevalues": f"{_SHOWN} {_PACKED}",
        "keys": "",
        "keyvalues": f"{_SHOWN} {_PACKED} replace conditional conditionals",
        "query": f"{_SHOWN} onlyid",
        "schema": "",
        "schema_batch": "",
    },
}
"""The query parameters of each endpoint."""

_LACKING_ENDPOINTS: dict[str, str] = {
    "annotation": "help roi",
    "keyvalue": "help mutations-range",
    "labelmap": "fvdb help history isotropic map-stats mutations-range proximity pseudocolor",
    "neuronjson": "help",
}
_LACKING_TYPES = (
    *("float32blk", "googlevoxels", "imagetile", "labelarray", "labelblk", "labelsz", "labelvol"),
    *("multichan16", "rgba8blk", "roi", "tarsupervoxels"),
    *("uint16blk", "uint32blk", "uint64blk", "uint8blk"),
)

# What the settings that DVID looks at must be here; it ignores all others, and so does the sandbox.
_ONLY = {"checksum": "none"}
_ONLY_OF_VOLUMES = {
    **{"indexedlabels": "true", "background": "0", "gridstore": ""},
    **{"minpoint": "", "maxpoint": "", "scalelevel": "0"},
}


def check_query(exchange: Exchange, known: Iterable[str] = ()) -> None:
    """Raises:
    Lacking: the request has a query parameter that is neither known nor known everywhere.
    """
    unknown = exchange.query.keys() - EVERYWHERE - set(known)
    if unknown:
        raise Lacking(f"the query parameter {', '.join(sorted(unknown))} on {exchange.path}")


def check_endpoint(exchange: Exchange, type_name: str, endpoint: str) -> None:
    """Raises:
    Lacking: DVID has this endpoint or takes this parameter, but the sandbox does not.
    """
    if endpoint in _LACKING_ENDPOINTS[type_name].split():
        raise Lacking(f"the endpoint {endpoint} of {type_name}")
    known = (PARAMETERS[type_name] | _COMMON).get(endpoint)
    if known is not None:
        check_query(exchange, known.split())


def check_type(type_name: str) -> None:
    """Raises:
    Lacking: DVID has this data type, but the sandbox does not.
    """
    if type_name in _LACKING_TYPES:
        raise Lacking(f"the data type {type_name}")


COMPRESSIONS = ("gzip", "lz4", "none", "snappy")


def check_settings(type_name: str, config: dict[str, str]) -> None:
    """Raises:
    Lacking: a new instance is asked for with something that the sandbox cannot do.
    """
    compression = config.get("compression", "lz4").lower()
    if compression not in COMPRESSIONS:
        raise Lacking(f"the compression {compression}")
    for name, only in (_ONLY | (_ONLY_OF_VOLUMES if type_name == "labelmap" else {})).items():
        value = config.get(name, only)
        if value.lower() != only:
            raise Lacking(f"the setting {name}={value} of {type_name}")
