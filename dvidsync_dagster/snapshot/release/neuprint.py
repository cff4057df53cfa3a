"""The names and values that body annotations have in neuPrint.

Read off janelia-flyem/flyem-snapshot, `outputs/neuprint/annotations.py`, of July 2026.
"""

from __future__ import annotations

SIMPLIFIED = {
    "Unimportant": "Unimportant",
    "Glia": "Glia",
    "Hard to trace": "Orphan",
    "Orphan-artifact": "Orphan",
    "Orphan": "Orphan",
    "Orphan hotknife": "Orphan",
    "Putative Leaves": "",
    "Out of scope": "",
    "Not examined": "",
    "": "",
    "0.5assign": "Assign",
    "Anchor": "Anchor",
    "Cleaved Anchor": "Anchor",
    "Will be merged": "Anchor",
    "Partially traced": "Anchor",
    "Sensory Anchor": "Anchor",
    "Cervical Anchor": "Anchor",
    "Soma Anchor": "Anchor",
    "Examined Soma Anchor": "Anchor",
    "Primary Anchor": "Anchor",
    "Leaves": "Traced",
    "PRT Orphan": "Traced",
    "Reviewed": "Traced",
    "Prelim Roughly traced": "Traced",
    "RT Hard to trace": "Traced",
    "RT Orphan": "Traced",
    "Roughly traced": "Traced",
    "Traced in ROI": "Traced",
    "Traced": "Traced",
    "Finalized": "Traced",
}
"""neuPrint's `status` of a status in DVID, from the least to the most that is known. One that is not listed
stays as it is."""

STATUSES = tuple(SIMPLIFIED)

_LEFT_OUT = frozenset(
    {
        "confidence",
        "group_old",
        "halfbrainBody",
        "halfbrain_body",
        "last_modified_by",
        "notes",
        "old_bodyids",
        "old_type",
        "reviewer",
        "to_review",
        "typing_notes",
        "user",
    }
)

_NAMES = {
    "bodyid": "bodyId",
    "hemibrain_bodyid": "hemibrainBodyId",
    "position": "location",
    "position_type": "locationType",
    "root_position": "rootLocation",
    "soma_position": "somaLocation",
    "status": "statusLabel",
    "tosoma_position": "tosomaLocation",
}


def property_name(field: str) -> str | None:
    """neuPrint's name of a field; None for one that neuPrint does not hold."""
    if field in _LEFT_OUT:
        return None
    if field in _NAMES:
        return _NAMES[field]
    if "Position" in field:
        return field.replace("Position", "Location")
    head, *tail = field.replace(" ", "_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)
