// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <type_traits>

#include <sys/mman.h>

namespace ivo {

/// A place in a slab. Small enough for two of them to make a word.
using Place = std::uint32_t;

/// Objects of one type at places that never move and, once used, never become anything else until the slab is
/// destroyed. So a reader that lost a race still reads a T: it finds out by the object's generation, not by a crash,
/// and needs neither a lock nor a grace period.
///
/// T is made of zero bytes, has nothing to destroy, and has a member `std::atomic<Place> nextFree` that is the slab's
/// while the object is free. Segments double in size, so that a slab grows from 64 objects to millions without moving
/// one; pages are touched when their objects are first used.
template <typename T>
class Slab {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    static constexpr unsigned kFirstBits = 6;
    static constexpr unsigned kSegments = 32 - kFirstBits;

    Slab() = default;
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;

    ~Slab() {
        for (unsigned segment = 0; segment < kSegments; segment++) {
            if (T* objects = segments_[segment].load(std::memory_order_relaxed)) {
                munmap(objects, bytes(segment));
            }
        }
    }

    /// Take a place, one that was released lately if there is one. What the object was before is still in it.
    /// Lock-free. Nothing when out of memory.
    std::optional<Place> take() {
        // acquire: pairs with the release in release(), so that nextFree is the one that was written with this head.
        std::uint64_t head = free_.load(std::memory_order_acquire);
        while (static_cast<Place>(head) != 0) {
            const Place place = static_cast<Place>(head) - 1;
            const Place next = (*this)[place].nextFree.load(std::memory_order_relaxed);
            // The upper half counts changes: a head that came back to the same place is another head.
            const std::uint64_t wanted = (((head >> 32) + 1) << 32) | next;
            if (free_.compare_exchange_weak(head, wanted, std::memory_order_acq_rel, std::memory_order_acquire)) {
                return place;
            }
        }
        return takeUnused();
    }

    void release(Place place) {
        std::uint64_t head = free_.load(std::memory_order_relaxed);
        std::uint64_t wanted;
        do {
            (*this)[place].nextFree.store(static_cast<Place>(head), std::memory_order_relaxed);
            wanted = (((head >> 32) + 1) << 32) | (place + 1);
            // release: whoever takes the place sees nextFree and all that its last owner did.
        } while (!free_.compare_exchange_weak(head, wanted, std::memory_order_release, std::memory_order_relaxed));
    }

    T& operator[](Place place) const {
        const unsigned segment = segmentOf(place);
        // acquire: pairs with the publication in takeUnused(). The place itself came from an index that was published
        // later, so the segment is there.
        // The analyzer does not know that bit_width() of what is at least kFirst is more than kFirstBits.
        // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
        return segments_[segment].load(std::memory_order_acquire)[place + kFirst - (std::uint64_t{kFirst} << segment)];
    }

    /// Places ever used: all below this may be looked at.
    Place used() const { return static_cast<Place>(used_.load(std::memory_order_acquire)); }

    /// Memory in bytes that its segments span.
    std::uint64_t spans() const {
        std::uint64_t sum = 0;
        for (unsigned segment = 0; segment < kSegments; segment++) {
            sum += segments_[segment].load(std::memory_order_relaxed) ? bytes(segment) : 0;
        }
        return sum;
    }

private:
    static constexpr Place kFirst = Place{1} << kFirstBits;

    static unsigned segmentOf(Place place) {
        return static_cast<unsigned>(std::bit_width(std::uint64_t{place} + kFirst)) - kFirstBits - 1;
    }
    static std::size_t bytes(unsigned segment) { return (sizeof(T) << kFirstBits) << segment; }

    std::optional<Place> takeUnused() {
        std::uint64_t place = used_.load(std::memory_order_relaxed);
        do {
            if (place >= UINT32_MAX - kFirst) {
                return std::nullopt;
            }
            if (!provide(segmentOf(static_cast<Place>(place)))) {
                return std::nullopt;
            }
        } while (!used_.compare_exchange_weak(place, place + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
        return static_cast<Place>(place);
    }

    /// Make sure that a segment exists, before a place in it is counted as used. Two threads may both make it; one
    /// gives its own back.
    bool provide(unsigned segment) {
        if (segments_[segment].load(std::memory_order_acquire)) {
            return true;
        }
        void* memory = mmap(nullptr, bytes(segment), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return false;
        }
        T* expected = nullptr;
        if (!segments_[segment].compare_exchange_strong(expected, static_cast<T*>(memory), std::memory_order_acq_rel)) {
            munmap(memory, bytes(segment));
        }
        return true;
    }

    std::array<std::atomic<T*>, kSegments> segments_{};
    alignas(64) std::atomic<std::uint64_t> free_{0};
    alignas(64) std::atomic<std::uint64_t> used_{0};
};

}  // namespace ivo
