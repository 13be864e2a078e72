# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin for tests/mutation/run: runs only the tests of one hook and writes how each one ended."""

import json
import os
from pathlib import Path

import pytest

PLUGIN = os.environ["IVO_MUTATION_PLUGIN"]
_outcomes = {}


def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if any(PLUGIN in marker.args for marker in item.iter_markers("hook"))]
    config.hook.pytest_deselected(items=[item for item in items if item not in ours])
    items[:] = ours


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    yield
    name = item.nodeid.removeprefix("tests/e2e/")
    before = _outcomes.get(name, (None, None, ""))
    if before[1] is None:  # the first error of a test is the one that counts
        error, line = None, ""
        if call.excinfo is not None:
            error, line = call.excinfo.type.__name__, (str(call.excinfo.value).splitlines() or [""])[0]
        _outcomes[name] = (call.when, error, line)


def pytest_sessionfinish():
    Path(os.environ["IVO_MUTATION_RESULTS"]).write_text(json.dumps(_outcomes), encoding="utf-8")
