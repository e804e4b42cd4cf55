# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest fixtures of functional and fault tests; a conftest.py imports all of it."""
import os
import shutil
import sys
from types import SimpleNamespace

import pytest

from .hypervisor import DRIVERS
from .lab import Lab, make_base
from .merging import gate, slow  # noqa: F401
from .small import roomy, small  # noqa: F401
from .where import GUEST_DIR, require, require_file

sys.path.insert(0, GUEST_DIR)
import build  # noqa: E402  (tests/functional/guest/build.py)

OVMF = "/usr/share/OVMF/OVMF_CODE_4M.fd"


def pytest_configure(config):
    config.addinivalue_line("markers", "one_driver: its subject is not libvirt's driver; VMSNAP_FAULT=quick runs it under "
                            "qemu:///embed only")


def pytest_collection_modifyitems(config, items):
    """What this run is for: all tests, or those of one lane of a quick check. VMSNAP_TEST_PART=1/2 is every second
    file."""
    quick = os.environ.get("VMSNAP_FAULT") == "quick"
    part, parts = map(int, os.environ.get("VMSNAP_TEST_PART", "1/1").split("/"))
    files = sorted({str(item.fspath) for item in items})
    lane = set(files[part - 1::parts])

    def chosen(item):
        driver = getattr(item, "callspec", None) and item.callspec.params.get("hv")
        return str(item.fspath) in lane and not (quick and driver not in (None, "embed")
                                                 and item.get_closest_marker("one_driver"))
    dropped = [item for item in items if not chosen(item)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if chosen(item)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Leaves the outcome of each phase where fixtures can see it."""
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.fixture(scope="session")
def images():
    """Raw images of the guests, built once."""
    require("as", "ld", "qemu-img", "qemu-io", "xmllint")
    base = make_base()
    found = SimpleNamespace(boot=os.path.join(base, "boot.img"), efi=os.path.join(base, "efi.img"))
    build.boot(found.boot)
    yield found
    shutil.rmtree(base)


def make_efi(images):
    """Builds the image of the UEFI guest, once; returns its path."""
    require("gcc", "mformat", "mcopy")
    require_file(OVMF)
    if not os.path.exists(images.efi):
        build.efi(images.efi)
    return images.efi


@pytest.fixture(scope="session")
def efi_image(images):
    """The raw image of the UEFI guest."""
    return make_efi(images)


@pytest.fixture(scope="session", params=os.environ.get("VMSNAP_TEST_DRIVERS", "embed system").split())
def hv(request):
    """The hypervisor, once under each driver."""
    base = make_base()
    driver = DRIVERS[request.param](base)
    driver.start()
    yield driver
    driver.stop()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def lab(request, hv, images):
    """A running daemon in a directory of its own."""
    place = Lab(hv, images)
    try:
        place.daemon.start()
        yield place
    finally:
        call = getattr(request.node, "report_call", None)
        place.finish(failed=call is None or call.failed)


@pytest.fixture
def ctl(lab):
    """vmsnapctl --json as a function of its arguments."""
    return lab.ctl
