# SPDX-License-Identifier: GPL-2.0-or-later
"""One charon-systemd in a namespace, with folders of its own, and on request with our plugins.

Nothing of the host's configuration is read: STRONGSWAN_CONF and SWANCTL_DIR name the run's own folder. Our
plugins are dropped in by a bind mount over the plugin folder that only this charon's mount namespace sees.
"""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

from .control import Control
from .paths import built_plugin
from .settings import format_settings, merge_settings
from .swanctl import Swanctl
from .wait import TIME_FACTOR, wait_until

PLUGIN_FOLDER = "/usr/lib/ipsec/plugins"
OUR_PLUGINS = ("ivo-sessiontable", "ivo-adaptive-nat", "ivo-jitter")

# Debian's plugins without those that would touch the host (resolve, dhcp, farp, …). The userland data plane
# comes before kernel-netlink, which stays for addresses and routes.
STOCK_PLUGINS = """aesni aes sha2 sha1 md5 mgf1 random nonce x509 revocation constraints pubkey pkcs1 pkcs8
    pem openssl curve25519 hmac kdf gcm drbg attr kernel-libipsec kernel-netlink socket-default vici
    eap-identity eap-md5 eap-mschapv2 eap-tls counters""".split()

LOG_LEVELS = {"default": 1, "ike": 2, "cfg": 2, "knl": 1, "esp": 1, "net": 1, "enc": 1, "mgr": 1, "job": 1}


class CharonFailed(AssertionError):
    """A charon did not start, died, or did not end cleanly; carries the end of its log."""


class Charon:
    """A charon-systemd process; `plugins` are the names of ours that it loads (none: stock)."""

    def __init__(self, namespace, folder, plugins=(), settings=None, extra_plugins=(), plugin_options=None):
        """settings: strongswan.conf's `charon` section, merged over the defaults.

        extra_plugins: more stock plugins to load; plugin_options: {plugin: {option: value}}.
        """
        self.namespace = namespace
        self.folder = Path(folder)
        self.plugins = tuple(plugins)
        # Set by a test in which charon refuses some of them.
        self.may_decline_plugins = False
        unknown = set(self.plugins) - set(OUR_PLUGINS)
        if unknown:
            raise ValueError(f"no such plugin of ours: {', '.join(sorted(unknown))}; "
                             f"there are {', '.join(OUR_PLUGINS)}")
        self.extra_plugins = list(extra_plugins)
        self.settings = settings or {}
        self.plugin_options = plugin_options or {}
        self.swanctl_folder = self.folder / "swanctl"
        self.log_file = self.folder / "charon.log"
        self.output_file = self.folder / "charon.out"
        self.conf = self.folder / "strongswan.conf"
        self.vici = self.folder / "charon.vici"
        self.control_socket = self.folder / "charon.ivo"
        self.process = None
        for name in ("x509", "x509ca", "private", "pubkey", "conf.d"):
            (self.swanctl_folder / name).mkdir(parents=True, exist_ok=True)
        self.swanctl = Swanctl(self)
        self.control = Control(self)

    def __repr__(self):
        return f"<charon in {self.namespace.name}>"

    # --- configuration

    def strongswan_conf(self):
        """All of strongswan.conf as a dict."""
        charon = {
            "load": " ".join([*STOCK_PLUGINS, *self.extra_plugins, *self.plugins]),
            "filelog": {"log": {"path": self.log_file, "flush_line": True, "append": True,
                                "time_format": "%H:%M:%S", "time_add_ms": True, **LOG_LEVELS}},
            "ivo": {"socket": f"unix://{self.control_socket}"},
            "plugins": merge_settings({
                "vici": {"socket": f"unix://{self.vici}"},
                "eap-tls": {"fragment_size": 1024},
            }, self.plugin_options),
        }
        return {
            "charon": merge_settings(charon, self.settings),
            # A machine with a journal must not get the tests' log lines.
            "charon-systemd": {"journal": {"default": -1}},
            "swanctl": {"load": "random openssl pem pkcs1 pkcs8 x509 pubkey"},
        }

    def write_settings(self):
        self.conf.write_text(format_settings(self.strongswan_conf()), encoding="utf-8")

    def set_plugin_options(self, plugin, **options):
        """Change options of a plugin; a running charon is told by `swanctl --reload-settings`."""
        self.plugin_options = merge_settings(self.plugin_options, {plugin: options})
        self.write_settings()
        if self.process is not None:
            self.swanctl("--reload-settings")

    @property
    def environment(self):
        """Of charon and of swanctl: this charon's files, nothing of the service that runs the tests."""
        env = {key: value for key, value in os.environ.items()
               if key not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")}
        return {**env, "STRONGSWAN_CONF": str(self.conf), "SWANCTL_DIR": str(self.swanctl_folder)}

    # --- life

    def start(self, survive=False):
        """Start it and return once vici answers."""
        if self.process is not None:
            raise AssertionError(f"{self} runs already")
        self.write_settings()
        self.vici.unlink(missing_ok=True)
        with open(self.output_file, "ab") as output:
            self.process = self.namespace.popen(
                ["unshare", "--mount", "--propagation", "private", "--", "sh", "-euc", self._start_script()],
                survive=survive, env=self.environment, stdout=output, stderr=subprocess.STDOUT)
        wait_until(self._answers, f"{self} answers on its vici socket", within=20, watch=(self,))
        self._check_plugins()
        return self

    def _check_plugins(self):
        """A test of our plugins that runs on stock charon because they were declined would show nothing."""
        if not self.may_decline_plugins:
            missing = set(self.plugins) - set(self.swanctl.stats()["plugins"])
            assert not missing, f"{self} did not load {sorted(missing)}:\n{self.tail(25)}"

    def _start_script(self):
        """Shell commands for charon's own mount namespace; the last one becomes charon."""
        wrapper, preload = "", ""
        lines = []
        if self.plugins:
            mix = self._plugin_folder()
            lines = [f"mount --bind {PLUGIN_FOLDER} {shlex.quote(str(self.folder / 'stock-plugins'))}",
                     f"mount --bind {shlex.quote(str(mix))} {PLUGIN_FOLDER}"]
            wrapper = os.environ.get("IVO_CHARON_WRAPPER", "")
            preload = os.environ.get("IVO_CHARON_PRELOAD", "")
        program = f"{wrapper} /usr/sbin/charon-systemd".strip()
        if preload:
            program = f"env LD_PRELOAD={shlex.quote(preload)} {program}"
        return "\n".join([*lines, f"exec {program}"])

    def _plugin_folder(self):
        """A folder of links: every stock plugin, and ours from the build."""
        mix = self.folder / "plugins"
        stock = self.folder / "stock-plugins"
        mix.mkdir(exist_ok=True)
        stock.mkdir(exist_ok=True)
        links = {path.name: stock / path.name for path in Path(PLUGIN_FOLDER).glob("*.so")}
        for plugin in self.plugins:
            built = built_plugin(plugin)
            links[built.name] = built
        for old in mix.iterdir():
            old.unlink()
        for name, target in links.items():
            (mix / name).symlink_to(target)
        return mix

    def _answers(self):
        return self.vici.exists() and self.swanctl("--stats", check=False).returncode == 0

    @property
    def pid(self):
        """Of charon itself: every step of the start, a wrapper too, is an exec of the same process."""
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def check_alive(self):
        """Fail, with the end of the log, when charon should run and does not."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            self.process = None
            how = f"ended with exit code {code}"
            if code < 0:
                how = f"was killed by signal {signal.Signals(-code).name}"
            raise CharonFailed(f"{self} {how}\n{self.tail()}")

    def stop(self, within=10.0):
        """Shut it down by SIGTERM as systemd does: it must end with exit code 0 within the deadline."""
        self.check_alive()
        if self.process is None:
            return None
        process, self.process = self.process, None
        started = time.monotonic()
        process.terminate()
        try:
            code = process.wait(within * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise CharonFailed(f"{self} did not end within {within * TIME_FACTOR:g} s of SIGTERM\n"
                               f"{self.tail()}") from None
        if code != 0:
            raise CharonFailed(f"{self} ended with exit code {code} after SIGTERM\n{self.tail()}")
        return time.monotonic() - started

    def kill(self):
        """End it without warning, as a crash of the machine would: no DELETE is sent."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    # --- log

    def log(self):
        """All of the log so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def tail(self, lines=40):
        """The end of the log and of what was printed."""
        parts = []
        for file in (self.log_file, self.output_file):
            if file.exists() and file.stat().st_size:
                end = file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
                parts.append(f"--- end of {file}\n" + "\n".join(end))
        return "\n".join(parts) or f"--- {self.log_file} is empty"

    def wait_for_log(self, text, within=10.0, count=1):
        """Wait until a text has appeared in the log (count times)."""
        wait_until(lambda: self.log().count(text) >= count, f"{self} logs {text!r}", within, watch=(self,))


