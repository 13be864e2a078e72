// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/jitter.h>

#include <array>
#include <nlohmann/json.hpp>

#include "common/counter.h"
#include "common/switch.h"

namespace ivo {

/// The core of ivo-jitter. It counts the events of SAs whose timers are to be spread.
class Jitter {
public:
    /// @param host  must outlive this object
    explicit Jitter(const ivo_host_t& host);

    const ivo_host_t& host() const { return host_; }

    /// Read the options again. One thread at a time.
    void reload();

    /// Something happened to an SA. Any thread, wait-free.
    void event(ivo_jitter_event_t event);

    nlohmann::ordered_json describe() const;

private:
    const ivo_host_t& host_;
    Switch enabled_;
    std::array<Counter, IVO_JITTER_EVENTS> events_;
};

}  // namespace ivo

/// The C ABI's opaque type.
struct ivo_jitter_t : ivo::Jitter {
    using Jitter::Jitter;
};
