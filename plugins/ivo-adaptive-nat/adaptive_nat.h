// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/adaptive_nat.h>

#include <nlohmann/json.hpp>

#include "common/counter.h"
#include "common/switch.h"

namespace ivo {

/// The core of ivo-adaptive-nat. It counts the authenticated messages of peers.
class AdaptiveNat {
public:
    /// @param host  must outlive this object
    explicit AdaptiveNat(const ivo_host_t& host);

    const ivo_host_t& host() const { return host_; }

    /// Read the options again. One thread at a time.
    void reload();

    /// A peer was heard in an authenticated message. Any thread, wait-free.
    void heard();

    nlohmann::ordered_json describe() const;

private:
    const ivo_host_t& host_;
    Switch enabled_;
    Counter authenticatedMessages_;
};

}  // namespace ivo

/// The C ABI's opaque type.
struct ivo_adaptive_nat_t : ivo::AdaptiveNat {
    using AdaptiveNat::AdaptiveNat;
};
