// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>

namespace ivo {

/// A statistic that many threads raise. On a cache line of its own, so that threads raising different counters do not
/// slow each other. Relaxed: a reader wants a recent number, and nothing is published through it.
class alignas(64) Counter {
public:
    void raise() { value_.fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

}  // namespace ivo
