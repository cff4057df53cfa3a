"""The label counters over HTTP: maxlabel, nextlabel, set-nextlabel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dvid_sandbox.counters import HIGHEST_POSTED_MAXLABEL
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import read_label, read_uint

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


def maxlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "GET":
        highest = lm.counters.effective_max(place.version)
        if highest is None:
            raise Refused(f"No maximum label found for {lm.name} version {place.version}\n")
        return Answer.json(f'{{"maxlabel": {highest}}}')
    if not exchange.admin:
        raise Refused("POST /maxlabel requires admin privileges (admintoken or DSG admin)")
    label = read_label(exchange, "Label 0 is protected background value and cannot be used as max label.\n")
    if label > HIGHEST_POSTED_MAXLABEL:
        raise Refused(f"Posted max label {label} exceeds allowed cap {HIGHEST_POSTED_MAXLABEL}")
    if lm.counters.raise_max(place.version, label):
        lm.publish(exchange, _told(exchange, place, {"Action": "post-maxlabel", "MaxLabel": label}))
    return Answer()


def nextlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "GET":
        return Answer.json(f'{{"nextlabel": {lm.counters.following}}}')
    if len(exchange.parts) < 5:
        raise Refused("DVID requires number of requested labels to follow POST /nextlabel")
    start, end = lm.counters.take(place.version, read_uint(exchange.parts[4]))
    message = {"Action": "post-nextlabel", "Start Label": start, "End Label": end}
    lm.publish(exchange, _told(exchange, place, message))
    return Answer.json(f'{{"start": {start}, "end": {end}}}')


def set_nextlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method != "POST":
        raise Refused(f'Unknown action "{exchange.method}" requested for {exchange.path}\n')
    if not exchange.admin:
        raise Refused("POST /set-nextlabel requires admin privileges (admintoken or DSG admin)")
    if len(exchange.parts) < 5:
        raise Refused("DVID requires a label ID to follow POST /set-nextlabel")
    label = read_uint(exchange.parts[4])
    ceiling = read_uint(exchange.query["ceiling"]) if exchange.query.get("ceiling") else None
    lm.counters.set_next(label, ceiling)
    message: dict[str, Any] = {"Action": "setnextlabel", "Next Label": label}
    if ceiling is not None:
        message["Ceiling"] = ceiling
    lm.publish(exchange, _told(exchange, place, message))
    return Answer()


def _told(exchange: Exchange, place: Place, message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "UUID": place.uuid, "Timestamp": exchange.moment.go_time()}
