// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <numeric>

#include <pthread.h>

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

/// A statistic that all threads raise at each operation: threads raise different parts of it.
class BusyCounter {
public:
    void raise() { parts_[part()].raise(); }
    std::uint64_t value() const {
        return std::accumulate(parts_.begin(), parts_.end(), std::uint64_t{0},
                               [](std::uint64_t sum, const Counter& counter) { return sum + counter.value(); });
    }

private:
    static constexpr unsigned kBits = 4;

    /// Thread numbers are addresses: multiplied by the golden ratio, the upper bits differ.
    static std::size_t part() {
        return static_cast<std::size_t>((static_cast<std::uint64_t>(pthread_self()) * 0x9e3779b97f4a7c15u) >>
                                        (64 - kBits));
    }

    std::array<Counter, std::size_t{1} << kBits> parts_;
};

}  // namespace ivo
