# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles pieces of strongSwan's own source against the installed strongSwan libraries.

Debian packages neither strongSwan's headers nor its test programs nor its load-tester plugin. A few files
of the upstream tarball are compiled here, in seconds and without strongSwan's own configure. libstrongswan
and libcharon are never compiled: the installed ones are what is under test.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
LIBRARIES = pathlib.Path("/usr/lib/ipsec")
INSTALLED_PLUGINS = LIBRARIES / "plugins"


class Missing(Exception):
    """Something that must be there is not; the text says what to do."""


def build_dir():
    """Where our own build is: the plugins under test."""
    return pathlib.Path(os.environ.get("IVO_BUILD", TOP / "build" / "default")).resolve()


def our_plugin(name):
    """The library of one of our plugins, as built."""
    library = build_dir() / "plugins" / name / ".libs" / f"libstrongswan-{name}.so"
    if not library.exists():
        raise Missing(f"{library} is not built: run scripts/build, or set IVO_BUILD to a build folder")
    return library


def source_dir():
    """strongSwan's source of the installed version."""
    chosen = os.environ.get("IVO_STRONGSWAN_SRC")
    if not chosen:
        fetched = subprocess.run([TOP / "scripts" / "fetch-strongswan"], stdout=subprocess.PIPE, text=True)
        if fetched.returncode:
            raise Missing("no strongSwan source: scripts/fetch-strongswan says why above")
        chosen = fetched.stdout.strip()
    source = pathlib.Path(chosen).resolve()
    if not (source / "src" / "libcharon" / "daemon.h").exists():
        raise Missing(f"{source} is not strongSwan's source: set IVO_STRONGSWAN_SRC, or unset it")
    return source


def source_version(source):
    """The version a source tree says it is."""
    found = re.search(r"AC_INIT\(\[strongSwan\],\s*\[([^]]+)\]", (source / "configure.ac").read_text())
    if not found:
        raise Missing(f"{source}/configure.ac names no strongSwan version")
    return found.group(1)


def installed_version():
    """The upstream version of the installed libraries."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "libstrongswan"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if asked.returncode:
        raise Missing("libstrongswan is not installed: run scripts/setup")
    return asked.stdout.split("+")[0]


def matching_source():
    """strongSwan's source, refusing one that is not of the installed version: it would compile and crash."""
    source = source_dir()
    have, need = source_version(source), installed_version()
    if have != need:
        raise Missing(f"{source} is strongSwan {have}, but libstrongswan {need} is installed:"
                      " run scripts/fetch-strongswan")
    return source


class Builder:
    """Compiles files of one strongSwan source tree into one folder, again only when something changed."""

    def __init__(self, source, folder):
        self.source = source / "src"
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        # The macros of Debian's build, as our shim is compiled with them: wrong ones move struct members.
        config = (TOP / "shim" / "strongswan_config.h.in").read_text()
        config = config.replace("@DEFINE_ME@", "#define")
        config = config.replace("@STRONGSWAN_VERSION@", source_version(source))
        self.config = self.folder / "config.h"
        self._write(self.config, config)

    @staticmethod
    def _write(path, text):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def _flags(self, includes, defines):
        flags = ["-O2", "-g", "-w", "-fPIC", "-include", str(self.config)]
        flags += [f"-I{self.source / folder}" for folder in ("libstrongswan", "libcharon", *includes)]
        return flags + [f"-D{name}={value}" for name, value in defines.items()]

    def _run(self, output, command, inputs):
        """Runs a compiler unless its output is from this very command and newer than its inputs."""
        stamp = output.with_name(output.name + ".command")
        wanted = hashlib.sha256("\0".join(map(str, command)).encode()).hexdigest()
        if output.exists() and stamp.exists() and stamp.read_text() == wanted:
            if all(i.stat().st_mtime <= output.stat().st_mtime for i in inputs):
                return output
        output.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Missing(f"cannot compile {output.name} of strongSwan:\n{done.stdout}")
        stamp.write_text(wanted)
        return output

    def compile(self, files, includes=(), defines=None):
        """Objects of files (below strongSwan's src/, or of ours by a whole path), compiled in parallel."""
        compiler = os.environ.get("CC", "gcc").split()
        flags = self._flags(includes, defines or {})

        def one(name):
            source = self.source / name
            below = pathlib.Path(name).name if pathlib.Path(name).is_absolute() else name
            output = self.folder / "objects" / f"{below}.o"
            return self._run(output, [*compiler, "-c", *flags, "-o", str(output), str(source)],
                             [source, self.config])

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, files))

    def link(self, name, objects, libraries, shared=False):
        """A program, or a plugin, out of objects and installed libraries."""
        compiler = os.environ.get("CC", "gcc").split()
        output = self.folder / name
        kind = ["-shared"] if shared else ["-rdynamic"]
        return self._run(output, [*compiler, *kind, "-o", str(output), *map(str, objects), f"-L{LIBRARIES}",
                                  *[f"-l:{library}" for library in libraries],
                                  f"-Wl,-rpath,{LIBRARIES}", "-lpthread"], objects)


def die(message):
    """Ends with a sentence and the status of a failure."""
    print(f"{pathlib.Path(sys.argv[0]).resolve().parent.name}: {message}", file=sys.stderr)
    sys.exit(1)
