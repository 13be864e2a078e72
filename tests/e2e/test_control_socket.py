# SPDX-License-Identifier: GPL-2.0-or-later
"""Our control socket in a real charon: bad requests and bad clients each get a clear answer, traffic goes on;
and ivoctl, the operator's command, against real and broken servers."""

import contextlib
import os
import random
import select
import socket
import threading

import pytest

from ivotest import OUR_PLUGINS, ping, wait_until
from ivotest.namespaces import run
from ivotest.paths import built_ivoctl

MAX_REQUEST = 1024
MAX_CONNECTIONS = 16
SEED = int(os.environ.get("IVO_SEED") or int.from_bytes(os.urandom(4), "big"))


@pytest.fixture(autouse=True)
def _need_our_plugins(our_plugins):
    if not set(OUR_PLUGINS) <= set(our_plugins):
        pytest.skip("the run's gateways do not load all of our plugins")


def connect(gateway):
    sock = socket.socket(socket.AF_UNIX)
    # Blocking: while the backlog is full, a UNIX socket that may not wait is refused.
    sock.connect(str(gateway.charon.control_socket))
    sock.settimeout(8)
    return sock


def read_all(sock):
    """All that comes until the other end closes."""
    answer = b""
    # Closed with a part of the request unread: what was answered comes first, then this error.
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            answer += part
    return answer


def ask(gateway, request):
    """The whole answer to a raw request."""
    with connect(gateway) as sock:
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(request)
        return read_all(sock)


@pytest.fixture
def traffic(shared, new_client):
    """A tunnel whose ping must lose nothing during the test, and a control socket that must work after it."""
    client = new_client()
    client.connects()
    with ping(client, shared.lan, rate=100) as p:
        p.wait_received(3)
        yield shared.gw
        p.wait_received(10)
    assert p.lost == 0
    assert set(shared.gw.charon.control.stats()) == set(OUR_PLUGINS)


# --- requests

REFUSED = {
    "unknown command": (b"colour\n", b"error: unknown command 'colour'\n"),
    "a long unknown command is cut": (b"c" * 300 + b"\n", b"error: unknown command '" + b"c" * 64 + b"'\n"),
    "upper case": (b"STATS\n", b"error: unknown command 'STATS'\n"),
    "no word": (b"\n", b"error: the request has no word or more than 16\n"),
    "spaces alone": (b"    \n", b"error: the request has no word or more than 16\n"),
    "too many words": (b"stats" + b" a" * 16 + b"\n", b"error: the request has no word or more than 16\n"),
    "too long, without an end": (b"s" * 5000, b"error: the request is longer than 1024 bytes\n"),
    "too long by one byte": (b"s" * MAX_REQUEST + b"\n", b"error: the request is longer than 1024 bytes\n"),
    "a zero byte": (b"sta\0ts\n", b"error: the request contains a zero byte\n"),
    "zero bytes alone": (b"\0" * 100 + b"\n", b"error: the request contains a zero byte\n"),
    "a printf format": (b"%s%n%s%n\n", b"error: unknown command '%s%n%s%n'\n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_is_refused(traffic, case):
    request, answer = REFUSED[case]
    assert ask(traffic, request) == answer


def test_good_requests_at_the_limits(traffic):
    """The longest request, spaces around the word, 16 words, piece by piece, and what comes after the line
    feed."""
    assert ask(traffic, b"stats\n").endswith(b"\nok\n")
    assert ask(traffic, b"stats".ljust(MAX_REQUEST - 1) + b"\n").endswith(b"\nok\n")
    assert ask(traffic, b"  stats" + b" a" * 15 + b"\n").endswith(b"\nok\n")
    assert ask(traffic, b"stats\nstats\ncolour\n").endswith(b"\nok\n")
    with connect(traffic) as sock:
        for byte in b"stats\n":
            sock.send(bytes([byte]))
        answer = read_all(sock)
    assert answer.endswith(b"\nok\n") and answer.count(b"\n") == len(OUR_PLUGINS) + 1


def test_binary_junk_is_refused(traffic):
    print(f"IVO_SEED={SEED}")
    numbers = random.Random(SEED)
    for _ in range(100):
        junk = bytes(numbers.randrange(1, 256) for _ in range(numbers.randrange(1, 900)))
        junk = junk.replace(b"\n", b"\r")
        for request in (b"x" + junk + b"\n", junk[:50] + b"\0" + junk + b"\n"):
            answer = ask(traffic, request)
            assert answer.startswith(b"error: ") and answer.endswith(b"\n") and len(answer) < 200, request


# --- clients

def test_clients_that_go_early(traffic):
    """Without a word, in the middle of the request, and before the answer."""
    for request in (b"", b"sta", b"stats\n", b"colour\n"):
        for _ in range(50):
            with connect(traffic) as sock:
                if request:
                    sock.send(request)


def test_a_client_that_never_reads(traffic):
    """It holds its own connection only; the answer is small enough to wait in its socket."""
    with connect(traffic) as lazy:
        lazy.send(b"stats\n")
        for _ in range(20):
            assert ask(traffic, b"stats\n").endswith(b"\nok\n")
        assert read_all(lazy).endswith(b"\nok\n")


def test_too_many_silent_clients(traffic):
    """One more than there may be is told so, and so is ivoctl; once they have gone, the socket serves
    again."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(traffic)) for _ in range(MAX_CONNECTIONS + 1)]
        refused, _, _ = select.select(silent, [], [], 5)
        assert len(refused) == 1
        assert read_all(refused[0]) == b"error: too many connections\n"
        result = traffic.charon.control("stats", check=False)
        assert (result.returncode, result.stdout) == (1, "")
        assert "the daemon says: too many connections" in result.stderr
        others = set(silent) - set(refused)
        assert select.select(others, [], [], 0)[0] == [], "the others are still waited for"
    wait_until(lambda: traffic.charon.control("stats", check=False).returncode == 0,
               "the control socket serves again", 5)


def test_a_silent_client_is_cut_off(traffic):
    """After ten seconds without a request; one that has sent half of one as well."""
    with connect(traffic) as silent, connect(traffic) as half:
        half.send(b"sta")
        for sock in (silent, half):
            sock.settimeout(13)
            assert read_all(sock) == b""


def test_many_at_once(traffic):
    """Several clients ask again and again, more at a time than may be connected: an answer or a refusal, no
    hang."""
    answers = []

    def asks():
        for _ in range(25):
            answers.append(ask(traffic, b"stats\n"))

    threads = [threading.Thread(target=asks) for _ in range(MAX_CONNECTIONS + 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 25 * len(threads)
    good = [answer for answer in answers if answer.endswith(b"\nok\n")]
    assert set(answers) - set(good) <= {b"error: too many connections\n"}
    assert good and all(answer.count(b"\n") == len(OUR_PLUGINS) + 1 for answer in good)


# --- ivoctl

def ivoctl(*arguments):
    """Its exit code, standard output and standard error."""
    result = run(built_ivoctl(), *arguments, check=False)
    return result.returncode, result.stdout, result.stderr


def test_ivoctl_help_and_version():
    code, out, err = ivoctl("--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: ivoctl") and "stats" in out and "--socket" in out and "Exit status" in out
    code, out, err = ivoctl("--version")
    assert (code, err) == (0, "") and out.startswith("ivoctl ")


@pytest.mark.parametrize("arguments, complaint", [
    ((), "a command is missing"),
    (("colour",), "unknown command 'colour'"),
    (("stats", "now"), "stats takes no argument 'now'"),
    (("--colour", "stats"), "unknown option --colour"),
    (("stats", "--socket"), "--socket needs a value"),
    (("--socket", "", "stats"), "--socket takes the path of a UNIX socket"),
    (("--timeout", "0", "stats"), "--timeout takes a number of seconds from 1 to 3600, not '0'"),
    (("--timeout", "soon", "stats"), "--timeout takes a number of seconds from 1 to 3600, not 'soon'"),
], ids=lambda value: " ".join(value) or "none" if isinstance(value, tuple) else "")
def test_ivoctl_wrong_usage(arguments, complaint):
    code, out, err = ivoctl(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err and "--help" in err


def test_ivoctl_without_a_daemon(tmp_path):
    missing, stale = tmp_path / "missing", tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    for path in (missing, stale):
        code, out, err = ivoctl("--socket", path, "stats")
        assert (code, out) == (1, "")
        assert f"{path}: no daemon with an IVO plugin there" in err
    code, out, err = ivoctl("--socket", "/" + "x" * 200, "stats")
    assert (code, out) == (1, "") and "path is longer than 107 bytes" in err


def test_ivoctl_against_a_charon(traffic):
    path = traffic.charon.control_socket
    for socket_option in (path, f"unix://{path}"):
        code, out, err = ivoctl("--socket", socket_option, "stats")
        assert (code, err) == (0, "") and out.startswith("ivo-")


LINE = b'{"plugin":"ivo-jitter","enabled":true}\n'
BROKEN_ANSWERS = {
    "nothing": (b"", "the answer was cut off"),
    "cut off before the status": (LINE, "the answer was cut off"),
    "cut off within a line": (LINE + LINE[:10], "the answer was cut off"),
    "cut off within the status": (LINE + b"ok", "the answer was cut off"),
    "no status": (LINE + b"fine\n", "the answer was cut off"),
    "an error": (b"error: no such thing\n", "the daemon says: no such thing"),
    "not JSON": (b"hello\nok\n", "the answer is not understood"),
    "JSON of something else": (b"[1, 2]\nok\n", "the answer is not understood"),
    "JSON without a plugin": (b'{"enabled":true}\nok\n', "the answer is not understood"),
}


@contextlib.contextmanager
def fake_server(path, serve):
    """A server that treats one connection as it likes, in place of charon."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def body():
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=body)
        thread.start()
        yield
        thread.join(10)


@pytest.mark.parametrize("case", BROKEN_ANSWERS)
def test_ivoctl_broken_answer(tmp_path, case):
    answer, complaint = BROKEN_ANSWERS[case]

    def serve(connection):
        assert connection.recv(100) == b"stats\n"
        connection.sendall(answer)

    for number, options in enumerate(([], ["--json"])):
        with fake_server(tmp_path / f"socket{number}", serve):
            code, out, err = ivoctl("--socket", tmp_path / f"socket{number}", "stats", *options)
        assert (code, out) == (1, "")
        assert complaint in err


def test_ivoctl_server_that_says_nothing(tmp_path):
    told = threading.Event()
    with fake_server(tmp_path / "socket", lambda connection: told.wait(20)):
        code, out, err = ivoctl("--socket", tmp_path / "socket", "--timeout", "1", "stats")
        told.set()
    assert (code, out) == (1, "")
    assert "no answer in time" in err and "--timeout" in err
