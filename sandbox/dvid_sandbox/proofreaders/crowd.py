"""People at work: which kinds of work, how often, how many people at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random
from types import TracebackType

from dvid_sandbox.proofreaders import records, segmentation, versions
from dvid_sandbox.proofreaders.client import Client, Exchange
from dvid_sandbox.proofreaders.person import NAMES, Person
from dvid_sandbox.proofreaders.workplace import Workplace

KINDS: dict[str, Callable[[Person], None]] = {
    function.__name__: function
    for function in (
        segmentation.merge,
        segmentation.cleave,
        segmentation.renumber,
        segmentation.renumber_up,
        segmentation.reserve,
        segmentation.raise_maxlabel,
        segmentation.set_nextlabel,
        segmentation.split_supervoxel,
        segmentation.split,
        segmentation.split_whole,
        segmentation.split_nothing,
        segmentation.cleave_nothing,
        segmentation.refused_merge,
        segmentation.refused_cleave,
        segmentation.unread_cleave,
        segmentation.refused_renumber,
        segmentation.refused_split_supervoxel,
        records.post_key,
        records.delete_key,
        records.post_neuron,
        records.replace_neuron,
        records.delete_neuron,
        records.nameless_neuron,
        records.post_elements,
        records.silent_elements,
        records.move_element,
        records.delete_element,
        records.post_blocks,
        records.refused_delete_element,
        records.refused_move_element,
        versions.commit,
        versions.branch,
        versions.tag,
        versions.note,
        versions.log,
        versions.new_instance,
        versions.refused_commit,
        versions.refused_newversion,
        versions.refused_branch,
        versions.refused_tag,
        versions.refused_write,
    )
}
"""Every kind of work by its name."""

WEIGHTS: dict[str, float] = {
    "merge": 40,
    "cleave": 12,
    "renumber": 3,
    "renumber_up": 1,
    "reserve": 1,
    "raise_maxlabel": 0.3,
    "set_nextlabel": 0.2,
    "split_supervoxel": 3,
    "refused_merge": 1,
    "refused_cleave": 1,
    "refused_renumber": 0.3,
    "refused_split_supervoxel": 0.3,
    "post_key": 12,
    "delete_key": 2,
    "post_neuron": 4,
    "replace_neuron": 2,
    "delete_neuron": 1,
    "nameless_neuron": 0.2,
    "post_elements": 6,
    "move_element": 1,
    "delete_element": 1,
    "post_blocks": 0.5,
    "refused_delete_element": 0.2,
    "refused_move_element": 0.2,
    "commit": 0.5,
    "branch": 0.3,
    "tag": 0.2,
    "note": 0.3,
    "log": 0.3,
    "refused_commit": 0.2,
    "refused_newversion": 0.2,
    "refused_branch": 0.2,
    "refused_tag": 0.2,
    "refused_write": 0.2,
}
"""How often each kind comes up, in shares. The kinds that are not here need a server with the split endpoint
(`split`, `split_whole`), do what nobody does on purpose (`split_nothing`, `cleave_nothing`), leave what a log
cannot tell (`unread_cleave`, `silent_elements`) or change what the repo consists of (`new_instance`): ask for
them."""

ADMIN_KINDS = frozenset({"raise_maxlabel", "set_nextlabel"})
"""Left out without an admin token."""

ALONE_KINDS = frozenset({"commit", "branch", "tag", "new_instance"})
"""They wait until nobody works, as a curator does: a write that is under way when its version is locked ends
up in a locked version."""

LABEL_KINDS = frozenset(name for name in KINDS if hasattr(segmentation, name))
"""The first of them in a version goes alone: a server that appends to a mutation log for the first time, from
two requests at once, opens it twice, mixes the records up and never starts again."""

MAX_PEOPLE = len(NAMES)


class Proofreaders:
    """People who work on one repo.

    The work depends on the seed alone as long as one person works and nobody else does; people at once get
    their own sequence each, but ids from one counter.

    Args:
        url: the server.
        root: the repo's root version.
        seed: of all random choices.
        people: how many work at once, up to eight. One person works under several names in turn.
        shared: all work on all bodies, never on one at once; by default each has a region of their own.
        weights: shares by kind, in place of `WEIGHTS`; ``{**WEIGHTS, "split": 3}`` changes one.
        admin_token: without it, the kinds that need it are left out.
        token: sent as ``Authorization: Bearer``.
        max_versions: no more are made once the repo has so many.
        within: people work only in these versions and in those that they make from them, and see no other.

    Raises:
        ValueError: an unknown kind, or too many people.
    """

    def __init__(
        self,
        url: str,
        root: str,
        *,
        seed: int = 0,
        people: int = 1,
        shared: bool = False,
        weights: Mapping[str, float] | None = None,
        admin_token: str | None = None,
        token: str | None = None,
        max_versions: int = 8,
        within: Collection[str] | None = None,
    ) -> None:
        weights = WEIGHTS if weights is None else weights
        if unknown := sorted(weights.keys() - KINDS.keys()):
            raise ValueError(f"no such kind of work: {', '.join(unknown)}. There are: {', '.join(KINDS)}")
        if not 1 <= people <= MAX_PEOPLE:
            raise ValueError(f"people is {people}, not 1 to {MAX_PEOPLE}")
        self._client = Client(url, token=token, admin_token=admin_token)
        workplace = Workplace(self._client, root, people, shared, within)
        kept = {kind: share for kind, share in weights.items() if admin_token or kind not in ADMIN_KINDS}
        self._kinds = list(kept)
        self._shares = list(kept.values())
        self._people = [
            Person(
                number=number,
                client=self._client,
                workplace=workplace,
                random=Random(f"{seed}/{number}"),
                names=NAMES[:3] if people == 1 else (NAMES[number],),
                max_versions=max_versions,
            )
            for number in range(people)
        ]

    @property
    def exchanges(self) -> list[Exchange]:
        """All requests that change something or should be refused, in the order of their answers."""
        return self._client.exchanges

    @property
    def unexpected(self) -> list[Exchange]:
        """Those that were refused though they should not be, or the other way round, or had no answer."""
        return [exchange for exchange in self.exchanges if not exchange.meant]

    def work(self, count: int, *, stop: threading.Event | None = None) -> list[Exchange]:
        """So many pieces of work, divided among the people; each is one request, a few are more or none.

        Args:
            stop: ends the work early, between two pieces, once it is set.

        Returns:
            The exchanges of this call.

        Raises:
            httpx.TransportError: the server went away; everybody has stopped.
            httpx.HTTPStatusError: it does not answer a read that the work needs.
        """
        before = len(self.exchanges)
        ended = threading.Event()

        def shift(person: Person) -> None:
            share = count // len(self._people) + (person.number < count % len(self._people))
            try:
                for _ in range(share):
                    if ended.is_set() or (stop is not None and stop.is_set()):
                        return
                    self._one(person)
            except BaseException:
                ended.set()
                raise

        if len(self._people) == 1:
            shift(self._people[0])
        else:
            with ThreadPoolExecutor(len(self._people), "proofreader") as pool:
                for shift_done in [pool.submit(shift, person) for person in self._people]:
                    shift_done.result()
        return self.exchanges[before:]

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Proofreaders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _one(self, person: Person) -> None:
        kind = person.random.choices(self._kinds, self._shares)[0]
        workplace = person.workplace
        if kind not in ALONE_KINDS:
            with workplace.gate.working():
                person.turn_to(kind)
                first = kind in LABEL_KINDS and person.version not in workplace.begun
                if not first:
                    KINDS[kind](person)
                    return
        with workplace.gate.alone():
            if kind in ALONE_KINDS or person.version not in workplace.open:
                person.turn_to(kind)
            KINDS[kind](person)
            if kind in LABEL_KINDS:
                workplace.begun.add(person.version)
