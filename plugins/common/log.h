// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/host.h>
#include <ivo/messages.h>

namespace ivo {

/// Write a message of the catalogue to the daemon's log: `log(host, IVO_MSG_SWITCHED_ON, option)`.
/// Any thread. Cut at 511 bytes.
[[gnu::format(printf, 4, 5)]] void log(const ivo_host_t& host, const char* name, int level, const char* format, ...);

}  // namespace ivo
