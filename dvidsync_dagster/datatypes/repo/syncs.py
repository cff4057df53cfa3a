"""What instances of a destination follow, set as at the source."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from dvidsync_dagster.datatypes.repo.commands import SetSync
from dvidsync_dagster.datatypes.server_side import Servers
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.repo import RepoInfo, read_repo_info
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.plan.outcome import DONE, Outcome, refused


class SyncWriter:
    """Carries out `SetSync`.

    Args:
        sorts_anew: data types whose instances must be told to sort what they have by a new labelmap.
    """

    def __init__(self, servers: Servers, sorts_anew: Collection[str]) -> None:
        self._servers = servers
        self._sorts_anew = sorts_anew

    def carry_out(self, command: SetSync) -> Outcome:
        """Raises what `Transport.change` raises; a refusal is an outcome."""
        servers, name = self._servers, self._servers.at_destination(command.instance)
        followed = ",".join(servers.at_destination(each) for each in command.followed)
        try:
            servers.destination.change(
                "POST",
                node_path(command.version, name, "sync"),
                query={"replace": "true"},
                body=orjson.dumps({"sync": followed}),
            )
            repo = read_repo_info(servers.destination, servers.root)
            if repo.instances[name].typename in self._sorts_anew:
                self._sort_anew(name, repo)
        except RequestRefused as refusal:
            return refused(str(refusal))
        return DONE

    def _sort_anew(self, name: str, repo: RepoInfo) -> None:
        """In the versions of the source. Those of the destination's own are not ours to change."""
        own = [uuid for uuid in repo.versions if uuid not in self._servers.repo.versions]
        for uuid in repo.versions.keys() - own:
            self._servers.destination.change("POST", node_path(uuid, name, "reload"))
        if own:
            self._servers.note(
                f"{name}: what it has in {counted(len(own), 'version')} of the destination's own is "
                f"still sorted by the labels of before; `POST reload` there sorts it anew"
            )
