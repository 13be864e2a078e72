// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace ivoctl {

/// The daemon could not be asked, or answered with an error; what() says why. Exit status 1.
struct RequestError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Send one request on the control socket (protocol: ivo/control.h) and return the answer's JSON lines.
/// @param path     UNIX socket
/// @param timeout  for the whole exchange
/// @throws RequestError
std::vector<std::string> request(const std::string& path, const std::string& words, std::chrono::seconds timeout);

/// Split an answer into its JSON lines; its last line is the status.
/// @throws RequestError if the status is an error or missing
std::vector<std::string> parseAnswer(const std::string& answer);

}  // namespace ivoctl
