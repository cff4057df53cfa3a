"""People who edit: seeded random work on any DVID server, over HTTP, as proofreaders and their tools do it.

    repo = make_repo("http://127.0.0.1:8000", admin_token="secret")
    with Proofreaders("http://127.0.0.1:8000", repo.root, seed=5, people=4, admin_token="secret") as people:
        people.work(500)

People never touch a body at the same time: a real server does not lock a body for the length of an operation.

| module | holds |
| --- | --- |
| `repo` | a repo with a segmentation of cubes and the instances that people edit |
| `client` | requests, and the exchanges that they leave |
| `workplace` | which versions are open, which bodies and ids are free to work on |
| `person` | one person: a name, a random sequence, a way to ask |
| `segmentation`, `records`, `versions` | the kinds of work: labelmap; keyvalue, neuronjson, annotation; DAG |
| `crowd` | weights, and people at once |
"""

from dvid_sandbox.proofreaders.client import Exchange
from dvid_sandbox.proofreaders.crowd import KINDS, WEIGHTS, Proofreaders
from dvid_sandbox.proofreaders.repo import Repo, make_repo

__all__ = ["KINDS", "WEIGHTS", "Exchange", "Proofreaders", "Repo", "make_repo"]
