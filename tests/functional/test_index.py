# SPDX-License-Identifier: GPL-2.0-or-later
"""The index is a cache: deleted, damaged or stale, everything is still there."""
import glob
import os
import shutil
import sqlite3

import pytest
from vmsnaptest.wait import until

# The driver below makes no difference to the index.
pytestmark = pytest.mark.parametrize("hv", ["embed"], indirect=True)


def _index(lab):
    return os.path.join(lab.daemon.store, "index.sqlite")


def _delete(lab):
    for path in glob.glob(_index(lab) + "*"):
        os.unlink(path)


def _damage(lab):
    with open(_index(lab), "r+b") as index:
        index.write(b"this is no database, whatever its name says" * 100)


def _truncate(lab):
    os.truncate(_index(lab), 100)


def _newer_schema(lab):
    with sqlite3.connect(_index(lab)) as index:
        index.execute("PRAGMA user_version = 999999")
    index.close()


def _directory_in_its_place(lab):
    _delete(lab)
    os.mkdir(_index(lab))


def _tree(machine):
    return [(s["id"], s["name"], s.get("parent"), s["kind"], s["depth"], s["current"]) for s in machine.snapshots().values()]


def _with_snapshots(lab):
    machine = lab.machine()
    a = machine.snapshot("a")["id"]
    machine.snapshot("b")
    machine.apply(a)
    machine.snapshot("c")
    return machine


@pytest.mark.parametrize("harm", [_delete, _damage, _truncate, _newer_schema])
def test_made_anew_at_start(lab, harm):
    machine = _with_snapshots(lab)
    before = _tree(machine)
    lab.daemon.stop()
    harm(lab)
    lab.daemon.start()
    assert _tree(machine) == before and len(before) == 3
    assert machine.show()["snapshots"] == 3
    machine.apply("b")


@pytest.mark.parametrize("harm", [_delete, _truncate])
def test_harmed_while_the_daemon_runs(lab, harm):
    machine = _with_snapshots(lab)
    before = _tree(machine)
    harm(lab)
    assert _tree(machine) == before
    machine.snapshot("d")
    assert len(_tree(machine)) == 4


def test_stale(lab):
    """Directories that changed while the daemon was down: what they say counts, not what the index says."""
    machine = _with_snapshots(lab)
    kept = lab.path("index-of-before")
    lab.daemon.stop()
    os.mkdir(kept)
    for path in glob.glob(_index(lab) + "*"):
        shutil.copy(path, kept)
    lab.daemon.start()
    machine.snapshot("d")
    lab.daemon.stop()
    _delete(lab)
    for path in os.listdir(kept):
        shutil.copy(os.path.join(kept, path), lab.daemon.store)
    lab.daemon.start()
    assert len(_tree(machine)) == 4
    assert machine.show()["snapshots"] == 4


def test_directory_where_the_index_should_be(lab):
    """Something that cannot be replaced: the daemon says so and does not start, or works all the same."""
    machine = _with_snapshots(lab)
    before = _tree(machine)
    lab.daemon.stop()
    _directory_in_its_place(lab)
    lab.daemon.spawn()
    try:
        until(lab.daemon.ready, "the daemon ready")
        assert _tree(machine) == before
    except AssertionError:
        assert "index.sqlite" in lab.daemon.log()
    finally:
        if lab.daemon.alive():
            lab.daemon.stop()
        if os.path.isdir(_index(lab)):
            os.rmdir(_index(lab))
        lab.daemon.start()
    assert _tree(machine) == before


def test_job_history_survives_a_restart(lab):
    machine = lab.machine()
    machine.snapshot("a")
    lab.daemon.restart()
    jobs = lab.daemon_call("ListJobs")["jobs"]
    assert {"done"} == {job["state"] for job in jobs if job["vm"] == machine.name}
    assert len([job for job in jobs if job["vm"] == machine.name]) >= 2
