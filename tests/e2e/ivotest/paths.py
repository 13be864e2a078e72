# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: the source tree, the build, the artefacts of failed tests, the folder of running labs."""

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("IVO_BUILD", TOP / "build" / "default"))
ARTEFACTS = TOP / "build" / "test"
# A short path: the name of a UNIX socket has at most 107 characters.
RUN = Path("/run/ivotest")


def built_plugin(name):
    return _built(BUILD / "plugins" / name / ".libs" / f"libstrongswan-{name}.so")


def built_ivoctl():
    return _built(BUILD / "tools" / "ivoctl" / "ivoctl")


def _built(path):
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run scripts/build first, or name the build folder by "
                                "IVO_BUILD")
    return path
