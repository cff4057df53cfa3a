"""What a server is told at its start, and what it says about itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dvid_sandbox.exchange import TEXT, Answer, Exchange, Lacking, Refused
from dvid_sandbox.golang import go_map, go_time
from dvid_sandbox.instance import Settings
from dvid_sandbox.offered import check_query

ALONE = ("/api/load", "/api/heartbeat")
_LACKING = (
    *("types", "compiled-types", "groupcache", "blobstore"),
    *("token", "settings", "reload-auth", "reload-blocklist"),
)


@dataclass(frozen=True)
class Configuration:
    """What the command line says.

    Args:
        folder: where the journal is.
        kafka: brokers, or None.
        topic_prefix: of all topics.
        admin_token: None admits nobody.
        token: what ``Authorization: Bearer`` must say to reach a repo; None asks for nothing.
        minimum_mutation_id: mutation ids start here or above.
        settings: of the data types.
        address: host and port under which the server is reached.
    """

    folder: Path
    kafka: str | None
    topic_prefix: str
    admin_token: str | None
    token: str | None
    minimum_mutation_id: int
    settings: Settings
    address: str


def serve(exchange: Exchange, configuration: Configuration, now: int, started: int) -> Answer:
    """Answers a request to ``/api/server/…``, or to one of `ALONE`. Times are in nanoseconds."""
    action = exchange.parts[0] if exchange.path in ALONE else "".join(exchange.parts[1:2])
    if action in _LACKING:
        raise Lacking(f"/api/server/{action}")
    check_query(exchange)
    match [exchange.method, action]:
        case ["GET", "load"]:
            return Answer.json(go_map(LOAD))
        case ["GET", "heartbeat"]:
            return Answer(200, "text/plain", b"OK")
        case ["GET", "info"]:
            return Answer.json(go_map(info(configuration, now, started)))
        case ["GET", "config"]:
            if not exchange.admin:
                raise Refused("GET /api/server/config requires admin privileges (admintoken or DSG admin)")
            return Answer(200, "text/plain", toml(configuration).encode())
        case ["GET", "note"]:
            return Answer(200, "text/plain")
    return Answer(404, TEXT, f"Could not find the URL: {exchange.path}\n".encode())


def info(configuration: Configuration, now: int, started: int) -> dict[str, str]:
    """GET /api/server/info. Times are in nanoseconds."""
    result = {
        "Cores": str(os.cpu_count()),
        "DVID Version": "v1.0.0-254-sandbox",
        "Datastore Version": "0.11.0",
        "Host": configuration.address,
        "Max Open Files": "1024",
        "Maximum Cores": str(os.cpu_count()),
        "Note": "",
        "RPC Address": "",
        "Server time": go_time(now, started),
        "Server uptime": f"{(now - started) / 1e9:.9f}s",
        "Storage backend": "sandbox journal",
        "TOML location": "config.toml",
    }
    if configuration.kafka:
        result["Kafka Activity Topic"] = "dvidactivity-" + configuration.address.replace(":", "-")
        result["Kafka Servers"] = configuration.kafka
    if configuration.topic_prefix:
        result["Kafka Topic Prefix"] = configuration.topic_prefix
    return result


def toml(configuration: Configuration) -> str:
    """GET /api/server/config."""
    settings = configuration.settings
    lines = [
        "[server]",
        f'httpAddress = "{configuration.address}"',
        f"allowLabelmapSplit = {str(settings.split_endpoint).lower()}",
        "",
        "[mutations]",
        *(['jsonstore = "mutations"'] if settings.mutation_list else []),
    ]
    if configuration.kafka:
        servers = ", ".join(f'"{each}"' for each in configuration.kafka.split(","))
        lines += ["", "[kafka]", f"servers = [{servers}]"]
        lines.append(f'topicPrefix = "{configuration.topic_prefix}"')
    return "\n".join(lines) + "\n"


LOAD = dict.fromkeys(
    (
        "GET requests",
        "PUT requests",
        "active CGo writes",
        "file bytes read",
        "file bytes written",
        "goroutines",
        "handlers active",
        "key bytes read",
        "key bytes written",
        "pending log messages",
        "value bytes read",
        "value bytes written",
    ),
    0,
)
"""`GET /api/load`: requests are handled one after the other, so nothing goes on beside this one."""
