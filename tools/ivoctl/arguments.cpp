// SPDX-License-Identifier: GPL-2.0-or-later
#include "arguments.h"

#include <getopt.h>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace ivoctl {

namespace {

int parseTimeout(std::string_view text) {
    int seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (failure != std::errc{} || end != text.data() + text.size() || seconds < kMinTimeoutSeconds ||
        seconds > kMaxTimeoutSeconds) {
        throw UsageError("--timeout takes a number of seconds from 1 to 3600, not '" + std::string(text) + "'");
    }
    return seconds;
}

std::string parseSocket(std::string_view text) {
    // charon.ivo.socket is written as an URI there; take both.
    constexpr std::string_view scheme = "unix://";
    if (text.starts_with(scheme)) {
        text.remove_prefix(scheme.size());
    }
    if (text.empty()) {
        throw UsageError("--socket takes the path of a UNIX socket");
    }
    return std::string(text);
}

}  // namespace

std::string usage() {
    return R"(usage: ivoctl [--socket PATH] [--timeout SECONDS] COMMAND [OPTION ...]

Asks the IVO plugins inside a running charon.

Commands:
  stats [--json]         what the plugins count, for each plugin that is loaded

Options:
  -s, --socket PATH      control socket, as in charon.ivo.socket [/run/charon.ivo]
  -t, --timeout SECONDS  how long to wait for an answer, 1 to 3600 [10]
  -j, --json             print one JSON object for programs
  -h, --help             this text
  -V, --version          version of ivoctl

Exit status: 0 done, 1 the daemon could not be asked or answered with an error, 2 wrong usage.
)";
}

Arguments parseArguments(int count, char* words[]) {
    static constexpr std::array<option, 6> options{{
        {"socket", required_argument, nullptr, 's'},
        {"timeout", required_argument, nullptr, 't'},
        {"json", no_argument, nullptr, 'j'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {nullptr, 0, nullptr, 0},
    }};
    Arguments arguments;
    opterr = 0;
    optind = 0;  // start anew: a test parses several command lines
    // NOLINTNEXTLINE(concurrency-mt-unsafe): ivoctl has one thread
    for (int option; (option = getopt_long(count, words, ":s:t:jhV", options.data(), nullptr)) != -1;) {
        switch (option) {
            case 's':
                arguments.socket = parseSocket(optarg);
                break;
            case 't':
                arguments.timeoutSeconds = parseTimeout(optarg);
                break;
            case 'j':
                arguments.json = true;
                break;
            case 'h':
                arguments.action = Arguments::Action::help;
                return arguments;
            case 'V':
                arguments.action = Arguments::Action::version;
                return arguments;
            case ':':
                throw UsageError(std::string(words[optind - 1]) + " needs a value");
            default:
                throw UsageError("unknown option " +
                                 (optopt != 0 ? std::string{'-', static_cast<char>(optopt)} : words[optind - 1]));
        }
    }
    if (optind == count) {
        throw UsageError("a command is missing");
    }
    if (std::strcmp(words[optind], "stats") != 0) {
        throw UsageError("unknown command '" + std::string(words[optind]) + "'");
    }
    if (optind + 1 != count) {
        throw UsageError("stats takes no argument '" + std::string(words[optind + 1]) + "'");
    }
    arguments.action = Arguments::Action::stats;
    return arguments;
}

}  // namespace ivoctl
