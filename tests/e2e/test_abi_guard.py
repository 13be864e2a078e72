# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugins that were built for another strongSwan: declined in one clear line, and charon goes on as stock.

The mismatched builds are made below build/test/abi/ the first time, and again when the sources have changed.
"""

import fcntl
import os
import re
import statistics
import subprocess
from pathlib import Path

import pytest

import ivotest.charon
from ivotest import OUR_PLUGINS, ping
from ivotest.paths import ARTEFACTS, BUILD, TOP, built_plugin

VERSION, OTHER_VERSION = "5.9.8", "6.1.0"
MISMATCH = re.compile(r"(ivo-[a-z-]+): \[abi-mismatch\] not loaded: built for (.*), but (.*); install the build for this")

# strongSwan's headers without mediation, our own code with it: what the guard compares by name then fits, and only its
# probes can find that nothing is where it should be.
HIDDEN = "#define _GNU_SOURCE\n#include <daemon.h>\n#define ME\n"
# name: (strongSwan version, configure options, {line of strongswan_config.h: what stands there instead})
BUILDS = {
    "no-me": (VERSION, ("--disable-strongswan-me",), {}),
    "headers-6.1.0": (OTHER_VERSION, (), {}),
    "no-me-headers-6.1.0": (OTHER_VERSION, ("--disable-strongswan-me",), {}),
    "no-me-hidden": (VERSION, (), {"#define ME\n": HIDDEN}),
    "no-stdbool": (VERSION, (), {"#define HAVE_STDBOOL_H 1\n": "\n"}),
    "no-testable-ke": (VERSION, (), {"#define TESTABLE_KE 1\n": "\n"}),
    "no-ikev1": (VERSION, (), {"#define USE_IKEV1\n": "\n"}),
}


def _source(version):
    """strongSwan's unpacked source."""
    given = os.environ.get("IVO_STRONGSWAN_SRC")
    if given and version == VERSION:
        return given
    found = subprocess.run([TOP / "scripts" / "fetch-strongswan", version], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"strongSwan {version} cannot be had: {found.stderr.strip()}")
    return found.stdout.strip()


def _run(argv, folder):
    done = subprocess.run([str(word) for word in argv], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv[0]} failed in {folder}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


def _change(header, changes):
    """Replace lines of the generated strongswan_config.h; a fresh one is left beside it to compare with."""
    original = header.with_suffix(".original")
    if not original.exists() or original.stat().st_mtime < (header.parent.parent / "config.status").stat().st_mtime:
        header.unlink()
        _run(["./config.status", "--quiet", "shim/strongswan_config.h"], header.parent.parent)
        original.write_text(header.read_text(encoding="utf-8"), encoding="utf-8")
    text = original.read_text(encoding="utf-8")
    for line, instead in changes.items():
        assert line in text, f"{original} has no {line!r}: adapt this test"
        text = text.replace(line, instead)
    if text != header.read_text(encoding="utf-8"):
        header.write_text(text, encoding="utf-8")


def _build(name):
    """The three plugins with the seams of another strongSwan, and the cores of the build under test."""
    version, options, changes = BUILDS[name]
    folder = ARTEFACTS / "abi" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        argv = [TOP / "configure", "--quiet", f"--with-strongswan-src={_source(version)}", "--disable-strongswan-check",
                *options]
        done = folder / "configured-with"
        if not done.exists() or done.read_text(encoding="utf-8") != str(argv):
            assert argv[0].exists(), f"{argv[0]} is missing: run scripts/build first"
            _run(argv, folder)
            done.write_text(str(argv), encoding="utf-8")
        if changes:
            _change(folder / "shim" / "strongswan_config.h", changes)
        makefile = (folder / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
        targets, variables = [], []
        for plugin in OUR_PLUGINS:
            targets.append(f"plugins/{plugin}/libstrongswan-{plugin}.la")
            # The core sees no strongSwan: it is taken from the build under test, which saves most of the time.
            variable = re.sub(r"\W", "_", targets[-1])
            parts = re.search(rf"^{variable}_LIBADD *= *(.*)$", makefile, re.M)[1].split()
            core = f"plugins/{plugin}/lib{plugin}-core.la"
            parts = [str(BUILD / core) if part == core else part for part in parts]
            variables += [f"{variable}_LIBADD={' '.join(parts)}",
                          f"{variable}_DEPENDENCIES={' '.join(part for part in parts if part.endswith('.la'))}"]
        _run(["make", "--quiet", *targets, *variables], folder)
    return {plugin: folder / "plugins" / plugin / ".libs" / f"libstrongswan-{plugin}.so" for plugin in OUR_PLUGINS}


@pytest.fixture(scope="session")
def builds():
    """builds(name): the paths of the plugins of that build, by plugin."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = _build(name)
        return made[name]

    return get


@pytest.fixture(autouse=True)
def _needs_our_plugins(our_plugins):
    """Each test says itself which plugins the gateway loads."""
    if not our_plugins:
        pytest.skip("about our plugins")


@pytest.fixture
def gateway_with(lab, monkeypatch):
    """gateway_with({plugin: .so}): a started gateway that loads these plugins of ours."""
    def make(paths, **options):
        monkeypatch.setattr(ivotest.charon, "built_plugin", lambda plugin: Path(paths[plugin]))
        gateway = lab.gateway(plugins=tuple(paths), **options)
        gateway.charon.may_decline_plugins = True
        return gateway.start()

    return make


def loaded(gateway):
    """The plugins of ours that charon has loaded."""
    return {plugin for plugin in gateway.swanctl.stats()["plugins"] if plugin in OUR_PLUGINS}


def assert_works(lab, gateway):
    """A tunnel comes up, carries pings, is rekeyed, and goes down."""
    client = lab.client("alice", behind=lab.nat()).start()
    client.connects()
    with ping(client, lab.lan, rate=100) as pings:
        pings.wait_received(10)
        client.rekeys_child()
        client.rekeys_ike()
        pings.wait_received(10)
    assert pings.lost == 0
    client.disconnects()
    assert gateway.swanctl.stats()["ikesas"] == {"total": "0", "half-open": "0"}
    assert gateway.charon.stop() < 5


def assert_declined(gateway, plugins):
    """One line of ours for each of these plugins, and nothing else of them; returns the reasons told."""
    log = gateway.charon.log()
    lines = {match[1]: match for match in MISMATCH.finditer(log)}
    assert set(lines) == set(plugins)
    assert len(MISMATCH.findall(log)) == len(lines), "more than one line for a plugin"
    for plugin in plugins:
        about = [line for line in log.splitlines() if plugin in line and "loaded plugins:" not in line]
        # charon itself says in a second one that the constructor returned NULL.
        assert len([line for line in about if "[LIB]" not in line]) == 1 and len(about) <= 2, "\n".join(about)
    assert not loaded(gateway) & set(plugins)
    assert children_of(gateway.charon.pid) == [], "a probe of the guard has been left behind"
    assert "SIGSEGV" not in log and "backtrace" not in log
    assert gateway.charon.output_file.read_text(encoding="utf-8") == ""
    return {plugin: (match[2], match[3]) for plugin, match in lines.items()}


def children_of(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text(encoding="ascii").split()
    return found


# --- builds that are declined

@pytest.mark.parametrize("name", ["no-me", "no-me-hidden", "headers-6.1.0", "no-me-headers-6.1.0"])
def test_all_mismatched(lab, builds, gateway_with, say, name):
    """None of the three loads; charon is a stock one, without our control socket."""
    gateway = gateway_with(builds(name))
    reasons = assert_declined(gateway, OUR_PLUGINS)
    version, options, _ = BUILDS[name]
    built_for = f"strongSwan {version} {'without' if options else 'with'} mediation"
    assert {reason[0] for reason in reasons.values()} == {built_for}
    say("; ".join(sorted({f"{name}: {reason[1]}" for reason in reasons.values()})))
    assert not gateway.charon.control_socket.exists()
    assert_works(lab, gateway)


@pytest.mark.parametrize("name", ["no-me-hidden", "headers-6.1.0"])
def test_mismatched_with_sigchld_ignored(lab, builds, gateway_with, monkeypatch, name):
    """Whoever starts charon may have it ignore SIGCHLD; the exit status of the guard's child is then unknown."""
    monkeypatch.setenv("IVO_CHARON_WRAPPER", "env --ignore-signal=CHLD")
    gateway = gateway_with(builds(name))
    assert_declined(gateway, OUR_PLUGINS)
    assert_works(lab, gateway)


def test_right_build_with_sigchld_ignored(lab, gateway_with, monkeypatch):
    monkeypatch.setenv("IVO_CHARON_WRAPPER", "env --ignore-signal=CHLD")
    gateway = gateway_with({name: built_plugin(name) for name in OUR_PLUGINS})
    assert loaded(gateway) == set(OUR_PLUGINS)
    assert_works(lab, gateway)


@pytest.mark.parametrize("plugin", OUR_PLUGINS)
def test_one_mismatched(lab, builds, gateway_with, plugin):
    """Only the wrong one is declined; the others work, and host what the three share."""
    paths = {name: built_plugin(name) for name in OUR_PLUGINS}
    paths[plugin] = builds("no-me")[plugin]
    gateway = gateway_with(paths)
    assert_declined(gateway, [plugin])
    others = set(OUR_PLUGINS) - {plugin}
    assert loaded(gateway) == others
    assert set(gateway.charon.control.stats()) == others
    assert_works(lab, gateway)


def test_only_one_fits(lab, builds, gateway_with):
    """Two declined, one works."""
    paths = {**builds("headers-6.1.0"), "ivo-jitter": built_plugin("ivo-jitter")}
    gateway = gateway_with(paths)
    assert_declined(gateway, ["ivo-sessiontable", "ivo-adaptive-nat"])
    assert loaded(gateway) == {"ivo-jitter"}
    assert_works(lab, gateway)


@pytest.mark.parametrize("plugin", OUR_PLUGINS)
def test_named_twice(lab, builds, gateway_with, plugin):
    """A plugin that `load` names twice is there once, or, mismatched, is declined as often as charon tries it."""
    gateway = gateway_with({plugin: built_plugin(plugin)}, extra_plugins=[plugin])
    assert MISMATCH.search(gateway.charon.log()) is None
    assert gateway.swanctl.stats()["plugins"].count(plugin) == 1
    assert_works(lab, gateway)
    again = gateway_with({plugin: builds("no-me")[plugin]}, name="gw2", extra_plugins=[plugin])
    assert 1 <= len(MISMATCH.findall(again.charon.log())) <= 2
    assert loaded(again) == set()
    assert again.charon.stop() < 5


# --- builds with one wrong macro: declined, or without a difference that matters

def test_wrong_bool_does_not_compile(builds):
    """Without HAVE_STDBOOL_H strongSwan's bool is a signed char: our headers and its own then contradict each other."""
    with pytest.raises(AssertionError, match="conflicting types"):
        builds("no-stdbool")


@pytest.mark.parametrize("name", ["no-testable-ke", "no-ikev1"])
def test_one_wrong_macro(lab, builds, gateway_with, say, name):
    """Either each plugin is declined, or all work: TESTABLE_KE is read by no header of 5.9.8, USE_IKEV1 by none that we use."""
    gateway = gateway_with(builds(name))
    declined = {match[1] for match in MISMATCH.finditer(gateway.charon.log())}
    say(f"{name}: {'declined' if declined else 'loaded, works'}")
    assert declined in (set(), set(OUR_PLUGINS))
    assert loaded(gateway) == set(OUR_PLUGINS) - declined
    assert_works(lab, gateway)


# --- the right build

def test_right_build(lab, gateway_with):
    """Not declined, and no probe of the guard is left."""
    gateway = gateway_with({plugin: built_plugin(plugin) for plugin in OUR_PLUGINS})
    assert loaded(gateway) == set(OUR_PLUGINS)
    assert MISMATCH.search(gateway.charon.log()) is None
    assert children_of(gateway.charon.pid) == []
    assert_works(lab, gateway)


def test_probes_leave_no_trace(gateway_with):
    """What the guard's child processes do to their copy of charon must not be logged as if charon had done it."""
    gateway = gateway_with({plugin: built_plugin(plugin) for plugin in OUR_PLUGINS})
    assert "IKE_SA" not in gateway.charon.log().replace("IKE_SA manager", "")


def _loading_took(gateway):
    """Milliseconds from the last stock plugin's line to the end of loading."""
    def moment(text):
        line = next(line for line in gateway.charon.log().splitlines() if text in line)
        hours, minutes, seconds = line.split()[0].split(":")
        return (int(hours) * 60 + int(minutes)) * 60 + float(seconds)

    return (moment("loaded plugins:") - moment("created TUN device")) * 1000 % 86_400_000


def test_what_the_guard_costs(lab, builds, gateway_with, say):
    """Loading with the guard's probes, against loading without our plugins, in charon's own time stamps."""
    right = {plugin: built_plugin(plugin) for plugin in OUR_PLUGINS}
    took = {}
    for what, paths in (("stock", {}), ("three that fit", right), ("three that do not", builds("headers-6.1.0"))):
        times = []
        gateway = gateway_with(paths, name=f"gw-{what.replace(' ', '-')}")
        for _ in range(5):
            times.append(_loading_took(gateway))
            gateway.charon.stop()
            gateway.charon.log_file.unlink()
            gateway.start()
        took[what] = statistics.median(times)
        gateway.charon.stop()
    say(", ".join(f"{what} {value:.0f} ms" for what, value in took.items()))
    assert took["three that fit"] - took["stock"] < 250
    assert took["three that do not"] - took["stock"] < 250
