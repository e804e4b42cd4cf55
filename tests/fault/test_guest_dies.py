# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU is killed with SIGKILL before, after and in the middle of each step of each kind of merge in a running guest,
alone or with the daemon: the merge finishes, and nothing that the guest had written is lost."""
import os
import signal

import merges
import pytest
from test_kill import STEPS
from vmsnaptest.daemon import CtlError
from vmsnaptest.merging import merging
from vmsnaptest.wait import until

QUICK = os.environ.get("VMSNAP_FAULT") == "quick"
MERGE_STEPS = [step for operation, step in STEPS if operation == "merge"]
CASES = [(cls, f"{step}@{turn}", when) for cls in merges.ALL for step in MERGE_STEPS for turn in cls.turns
         for when in ("before", "after")]
CASES += [(cls, f"flush@{turn}", "before") for cls in merges.ALL if cls.flushes for turn in cls.turns]
TELLING = ["CommitWorking pivot@1 after", "CommitTwo unseal@2 before"]
CUTS = ["CommitTwo commit@2 before"]


def name(case):
    cls, step, when = case
    return f"{cls.__name__} {step} {when}"


def cases(quick):
    """Those of the selection that CI runs, or all."""
    return pytest.mark.parametrize("case", [c for c in CASES if not QUICK or name(c) in quick], ids=name)


@cases(TELLING)
def test_guest_killed(lab, case):
    """The daemon lives on, and sees it at once or, "after", when it has begun with the step that follows."""
    cls, step, when = case
    scenario = cls(lab)
    scenario.prepare()
    held = lab.path("held")
    open(held, "w").close()
    lab.daemon.restart(f"hold-{when}:merge.{step}:{held}")
    process = scenario.begin()
    until(lambda: f"held {when} merge." in lab.daemon.log(), f"the merge to come to {step}")
    scenario.machine.kill_guest(wait=when == "before")
    os.unlink(held)
    scenario.end(process)
    scenario.verify_fell()


@cases(CUTS)
def test_power_cut(lab, case):
    """As if the power had gone."""
    cls, step, when = case
    scenario = cls(lab)
    scenario.prepare()
    lab.daemon.restart(f"kill-{when}:merge.{step}")
    with pytest.raises(CtlError):
        scenario.run()
    assert lab.daemon.wait_end() == -signal.SIGKILL
    scenario.machine.kill_guest()
    lab.daemon.start()
    scenario.verify_fell()


@pytest.mark.parametrize("who", ["guest"] if QUICK else ["guest", "daemon", "both"])
@pytest.mark.parametrize("cls", [merges.CommitBelow] if QUICK else merges.ALL, ids=lambda cls: cls.__name__)
def test_copying(lab, slow, cls, who):
    """In the middle of the copying, which QEMU does."""
    scenario = cls(lab)
    scenario.prepare()
    process = scenario.begin()
    until(lambda: merging(lab), "a merge to copy")
    if who != "guest":
        lab.daemon.kill()
    if who != "daemon":
        scenario.machine.kill_guest()
    if who == "guest":
        scenario.end(process)
        until(lambda: merging(lab) or not lab.mergeable(), "the merge to go on without the guest")
    else:
        process.communicate(timeout=60)
    slow()
    if who == "daemon":
        scenario.verify(False)
    else:
        scenario.verify_fell()
