// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

namespace ivoctl {

/// The plugins' statistics as one JSON object with a member for each plugin.
/// @param lines  one JSON object for each plugin, its name in "plugin"
/// @throws RequestError if a line is no such object
std::string statsAsJson(const std::vector<std::string>& lines);

/// The same for people.
std::string statsAsText(const std::vector<std::string>& lines);

}  // namespace ivoctl
