// SPDX-License-Identifier: GPL-2.0-or-later
// The operator's command: asks the plugins inside a running charon over their control socket.
#include <cstdio>
#include <exception>

#include "arguments.h"
#include "client.h"
#include "stats.h"

namespace {

void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
        throw ivoctl::RequestError("cannot write the output");
    }
}

void run(const ivoctl::Arguments& arguments) {
    using Action = ivoctl::Arguments::Action;
    switch (arguments.action) {
        case Action::help:
            print(ivoctl::usage());
            break;
        case Action::version:
            print("ivoctl " IVO_VERSION "\n");
            break;
        case Action::stats: {
            const auto lines =
                ivoctl::request(arguments.socket, "stats", std::chrono::seconds(arguments.timeoutSeconds));
            print(arguments.json ? ivoctl::statsAsJson(lines) : ivoctl::statsAsText(lines));
            break;
        }
    }
}

}  // namespace

int main(int count, char* words[]) {
    try {
        run(ivoctl::parseArguments(count, words));
        return 0;
    } catch (const ivoctl::UsageError& error) {
        std::fprintf(stderr, "ivoctl: %s (ivoctl --help tells the usage)\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ivoctl: %s\n", error.what());
        return 1;
    }
}
