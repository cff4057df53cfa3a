"""`dvidsync practice`, and what `verify`, `repair` and `status` say where people practise."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import CONFLICT, DIFFERENT, DONE, WRONG_CONFIGURATION
from tests.stage import INSTANCE, Stage, stage
from tests.two_servers import Editor


class Practised:
    """A stage whose copy has followed one commit, and its configuration file."""

    def __init__(self, servers: Stage, path: Path) -> None:
        self.servers = servers
        self.path = path
        self.source = Editor(servers.source, servers.root)
        self.copy = Editor(servers.destination, servers.root)
        self.child = ""
        """The source's open version."""
        self.practice: dict[str, Any] | None = {"keep": 1}
        self.write()

    def write(self) -> None:
        fields = self.servers.fields()
        if self.practice is not None:
            fields["destinations"][0]["practice"] = self.practice
        self.path.write_text(yaml.dump(fields))

    def run(self, *arguments: str, code: int = DONE) -> Result:
        """``dvidsync COMMAND CONFIG …``; CONFIG stands for the file."""
        filled = [str(self.path) if each == "CONFIG" else each for each in arguments]
        result = CliRunner().invoke(main, filled)
        assert result.exit_code == code, result.output
        return result

    def branch(self, number: int = -1) -> dict[str, Any]:
        """What the list tells of a branch."""
        (listed,) = json.loads(self.run("practice", "list", "CONFIG", "--json").stdout).values()
        branch: dict[str, Any] = listed[number]
        return branch


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Practised]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with stage(tmp_path) as servers:
        practised = Practised(servers, tmp_path / "neu3.yaml")
        practised.source.merge(1, 2, 3, 4)
        practised.source.commit()
        practised.child = practised.source.new_version(servers.root)
        practised.run("run", "CONFIG")
        yield practised


def test_a_session_from_a_fresh_branch_to_its_score_sheet(here: Practised) -> None:
    made = here.run("practice", "new", "CONFIG")
    branch = here.branch()
    assert f"practise on {branch['branch']}, {branch['version']}" in made.output
    assert branch["from"] == here.servers.root
    assert branch["open"] == [branch["version"]]
    practised = branch["version"]
    here.copy.post(f"{INSTANCE}/merge", [10, 11], version=practised, u="bob")
    here.copy.post(f"{INSTANCE}/merge", [20, 21], version=practised, u="bob")
    here.copy.post(f"{INSTANCE}/cleave/1", [3], version=practised, u="amy")
    here.source.post(f"{INSTANCE}/merge", [11, 10], version=here.child, u="eve")
    here.source.post(f"{INSTANCE}/merge", [10 + 20, 20], version=here.child, u="eve")
    here.source.post(f"{INSTANCE}/cleave/1", [3], version=here.child, u="eve")
    here.run("run", "CONFIG")

    sheet = json.loads(here.run("practice", "score", "CONFIG", branch["branch"], "--json").stdout)
    assert (sheet["from"], sheet["version"], sheet["beside"]) == (here.servers.root, practised, here.child)
    users = {row["user"]: row for row in sheet["users"]}
    assert (users["bob"]["merges"], users["bob"]["merges_yes"], users["bob"]["merges_no"]) == (2, 1, 1)
    assert (users["amy"]["cleaves"], users["amy"]["cleaves_yes"]) == (1, 1)
    (lacking,) = [row for row in sheet["decisions"] if row["side"] == "source"]
    assert (lacking["kind"], lacking["user"], lacking["agreed"]) == ("merge", "eve", "no")

    table = here.run("practice", "score", "CONFIG", branch["branch"], "--csv", "users")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [(row["user"], row["merges_yes"]) for row in rows] == [("amy", "0"), ("bob", "1")]
    each = here.run("practice", "score", "CONFIG", branch["branch"], "--csv", "decisions", "--at", here.child)
    assert len(list(csv.DictReader(io.StringIO(each.stdout)))) == len(sheet["decisions"]) == 4
    shown = here.run("practice", "score", "CONFIG").output
    assert f"{branch['branch']}: " in shown
    assert "bob" in shown
    assert "1 decision about the same bodies only the source made" in shown


def test_verify_agrees_and_says_in_a_line_what_is_the_destinations_own(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    branch = here.branch()
    here.copy.post(f"{INSTANCE}/merge", [10, 11], version=branch["version"])
    here.copy.post(f"{INSTANCE}/cleave/10", [11], version=branch["version"])
    here.copy.post(f"{INSTANCE}/nextlabel/20", version=branch["version"])
    line = (
        f"the destination's own: 1 version of practice ({branch['branch']}); "
        f"21 ids of {INSTANCE} ahead of the source's counter"
    )
    found = here.run("verify", "CONFIG")
    assert "they agree" in found.output
    assert [each.strip() for each in found.output.splitlines() if "own" in each] == [line]
    (told,) = json.loads(here.run("verify", "CONFIG", "--json").stdout).values()
    assert told["own"]["practice"] == [branch]
    assert told["own"]["ids_ahead"] == {INSTANCE: 21}
    assert "0 changes would be made" in here.run("repair", "CONFIG").output
    assert "0 changes were made" in here.run("repair", "CONFIG", "--apply").output
    own = f"  own         the destination's own: 1 version of practice ({branch['branch']})"
    assert own in here.run("status", "CONFIG").output
    # A version's highest label follows, although the ids that the source reserves there are gone already.
    here.source.post(f"{INSTANCE}/nextlabel/5", version=here.child)
    assert "they agree" in here.run("verify", "CONFIG").output
    # The source's ids come out nevertheless.
    body = here.source.post(f"{INSTANCE}/cleave/1", [2], version=here.child)["CleavedLabel"]
    assert "they agree" in here.run("verify", "CONFIG").output
    assert here.copy.get(f"{INSTANCE}/supervoxels/{body}", version=here.child) == [2]


def test_without_practice_what_only_the_destination_has_is_a_difference(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    here.copy.post(f"{INSTANCE}/nextlabel/20", version=here.branch()["version"])
    here.practice = None
    here.write()
    output = here.run("verify", "CONFIG", code=DIFFERENT).output
    assert "version only at the destination" in output
    assert "label counter ahead of the source's" in output
    for named in ([], ["--destination", "copy"]):
        for command in ("new", "list", "score"):
            output = here.run("practice", command, "CONFIG", *named, code=WRONG_CONFIGURATION).output
            assert "nobody practises there" in output


def test_a_version_on_another_branch_is_a_difference(here: Practised) -> None:
    here.copy.branch(here.servers.root, "trial")
    assert "version only at the destination" in here.run("verify", "CONFIG", code=DIFFERENT).output


def test_old_branches_are_closed_and_how_to_hide_them_is_told(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    first = here.branch()
    made = here.run("practice", "new", "CONFIG", "--from", here.servers.root[:8])
    assert f"{first['version']} is committed" in made.output
    listed = here.run("practice", "list", "CONFIG").output
    assert f"{here.branch()['branch']}  made 20" in listed
    assert "closed" in listed
    assert f"    dvid repo {here.servers.root} hide-branch {first['branch']}\n" in listed


def test_before_there_is_a_branch_or_a_later_version_there_is_no_score_sheet(here: Practised) -> None:
    output = here.run("practice", "score", "CONFIG", code=WRONG_CONFIGURATION).output
    assert "no practice branch was made yet" in output
    here.source.commit(version=here.child)
    here.run("run", "CONFIG")
    here.run("practice", "new", "CONFIG")
    output = here.run("practice", "score", "CONFIG", code=WRONG_CONFIGURATION).output
    assert f"was made from {here.child}, and the source has no later version yet" in output


def test_a_tag_is_beside_practice_only_if_it_is_named(here: Practised) -> None:
    """It holds what the version holds that it was put on, which can be the beginning."""
    here.run("practice", "new", "CONFIG")
    here.copy.post(f"{INSTANCE}/merge", [10, 11], version=here.branch()["version"])
    here.source.post(f"{INSTANCE}/merge", [10, 11], version=here.child)
    here.source.post("tag", {"tag": "v1", "note": ""})
    here.run("run", "CONFIG")
    sheet = json.loads(here.run("practice", "score", "CONFIG", "--json").stdout)
    assert (sheet["beside"], sheet["users"][0]["merges_yes"]) == (here.child, 1)
    sheet = json.loads(here.run("practice", "score", "CONFIG", "--json", "--at", "v1").stdout)
    assert (sheet["beside"], sheet["users"][0]["merges_yes"]) == ("v1", 0)


def test_it_is_put_beside_the_branch_on_which_the_source_went_on(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    here.copy.post(f"{INSTANCE}/merge", [10, 11], version=here.branch()["version"])
    here.source.post(f"{INSTANCE}/merge", [10, 11], version=here.child)
    here.source.commit(version=here.source.branch(here.servers.root, "trial"))
    here.run("run", "CONFIG")
    sheet = json.loads(here.run("practice", "score", "CONFIG", "--json").stdout)
    assert (sheet["beside"], sheet["users"][0]["merges_yes"]) == (here.child, 1)


def test_a_branch_of_the_source_with_a_name_that_is_taken_stops_runs_and_no_repair_says_that_all_agrees(
    here: Practised,
) -> None:
    here.run("practice", "new", "CONFIG")
    taken = here.source.branch(here.servers.root, here.branch()["branch"])
    output = here.run("run", "CONFIG", code=CONFLICT).output
    assert "a branch of that name is there already, of another version: once it is hidden" in output
    assert ".. " not in output
    for named in ([], ["--version", taken]):
        output = here.run("repair", "CONFIG", *named, "--apply", code=DIFFERENT).output
        assert "not repaired:" in output


def test_the_list_names_the_version_in_which_people_work(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    first = here.branch()
    assert f"1 version, open at {first['version']}\n" in here.run("practice", "list", "CONFIG").output
    here.copy.commit(version=first["version"])
    work = here.copy.new_version(first["version"])
    aside = here.copy.branch(first["version"], "amys-try")
    assert f"3 versions, open at {work}\n" in here.run("practice", "list", "CONFIG").output
    here.copy.commit(version=work)
    assert f"3 versions, open at {aside}\n" in here.run("practice", "list", "CONFIG").output


def test_a_branch_that_was_made_from_peoples_own_version_has_no_score_sheet(here: Practised) -> None:
    own = here.copy.branch(here.servers.root, "trial")
    here.copy.commit(version=own)
    here.copy.branch(own, "practice-trial")
    output = here.run("practice", "score", "CONFIG", "practice-trial", code=WRONG_CONFIGURATION).output
    assert f"was made from {own}, which is the destination's own" in output


def test_a_branch_that_is_not_there_is_told(here: Practised) -> None:
    here.run("practice", "new", "CONFIG")
    output = here.run("practice", "score", "CONFIG", "practice-2001", code=WRONG_CONFIGURATION).output
    assert "is no practice branch of copy" in output
    known = here.branch()["branch"]
    assert known in output
    assert "code location" not in output
    output = here.run("practice", "score", "CONFIG", known, "--at", "ffff", code=WRONG_CONFIGURATION).output
    assert "--at: 'ffff' names none of the source's versions" in output
