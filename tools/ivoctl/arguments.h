// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdexcept>
#include <string>

namespace ivoctl {

/// The command line cannot be understood; what() says why. Exit status 2.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What the command line asks for.
struct Arguments {
    enum class Action { help, version, stats };

    Action action = Action::help;
    std::string socket = "/run/charon.ivo";
    int timeoutSeconds = 10;
    bool json = false;
};

inline constexpr int kMinTimeoutSeconds = 1;
inline constexpr int kMaxTimeoutSeconds = 3600;

/// @throws UsageError
Arguments parseArguments(int count, char* words[]);

/// The text of --help.
std::string usage();

}  // namespace ivoctl
