// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>

#include <ivo/host.h>

namespace ivo {

class Options;

/// The run-time switch `enabled` of a plugin. Reading it is one relaxed load: a call that races with a reload may go
/// either way, and nothing else is ordered by the switch.
class Switch {
public:
    /// @param host  must outlive this object
    explicit Switch(const ivo_host_t& host) : host_(host) {}

    /// Read the option; say in the log what it changes, if it does.
    void update(Options& options);

    bool on() const { return on_.load(std::memory_order_relaxed); }

private:
    const ivo_host_t& host_;
    std::atomic<bool> on_{true};
};

}  // namespace ivo
