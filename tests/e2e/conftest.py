# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the end-to-end tests; see ivotest/README.md."""

import itertools
import os
import shutil
import signal

import pytest

from ivotest import OUR_PLUGINS, Lab, failure_folder


def pytest_addoption(parser):
    # A name of its own inside pytest, whose -p already is "plugins".
    parser.addoption("--plugins", dest="our_plugins", default="ivo", metavar="stock|ivo|NAME,…",
                     help="what gateways load: none of our plugins, all of them (default), or these")


def pytest_configure(config):
    # SIGTERM ends the run like Ctrl-C: fixtures are torn down, and with them every lab.
    signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("terminated by SIGTERM", 128 + number))


@pytest.fixture(scope="session")
def our_plugins(pytestconfig):
    """The names of our plugins that gateways load in this run."""
    choice = pytestconfig.getoption("our_plugins")
    named = {"stock": (), "ivo": OUR_PLUGINS}
    return named[choice] if choice in named else tuple(choice.split(","))


@pytest.fixture
def lab(our_plugins):
    """An empty lab of this test alone."""
    with Lab(our_plugins) as own:
        yield own


@pytest.fixture(scope="module")
def shared(our_plugins):
    """A lab with a running gateway and a NAT (shared.gw, shared.nat1) for all tests of a file."""
    with Lab(our_plugins) as own:
        own.gw = own.gateway()
        own.nat1 = own.nat()
        own.gw.start()
        yield own


_numbers = itertools.count(1)


@pytest.fixture
def new_client(shared):
    """Makes started clients in the shared lab, behind its NAT by default; removed after the test."""
    made = []

    def make(auth="eap-mschapv2", behind=shared, **options):
        behind = shared.nat1 if behind is shared else behind
        client = shared.client(f"c{next(_numbers)}", behind=behind, auth=auth, **options)
        made.append(client)
        return client.start()

    yield make
    for client in made:
        shared.remove_client(client)


@pytest.fixture(autouse=True)
def _every_charon_lives_on():
    """A charon that dies fails the test in which it dies, whether or not that test noticed."""
    shutil.rmtree(failure_folder(""), ignore_errors=True) if os.environ.get("PYTEST_CURRENT_TEST") else None
    yield
    for lab in Lab.active:
        lab.check_alive()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """On failure keep the logs of the labs that are up, and show the end of each charon's log."""
    report = (yield).get_result()
    if not report.failed:
        return
    folder = failure_folder(item.name)
    for lab in Lab.active:
        lab.keep_logs(folder)
        for charon in lab.charons:
            report.sections.append((f"{charon} (all of it below {folder})", charon.tail(25)))


@pytest.fixture
def say(capsys):
    """Prints a line past pytest's capture: measurements that a passing test has to show."""
    def line(text):
        with capsys.disabled():
            print(f"\n    {text}", end=" ", flush=True)

    return line
