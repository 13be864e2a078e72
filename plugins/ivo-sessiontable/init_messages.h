// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <sched.h>

#include "hash_index.h"
#include "keyed_hash.h"
#include "slab.h"

namespace ivo {

/// The initial messages from which IKE_SAs were made, as digests, with the SPI that was given to each: what tells a
/// retransmission. Lock-free but for one case: a thread that brings the very bytes that another thread is adding at
/// this instant lets that one finish.
class InitMessages {
public:
    explicit InitMessages(const KeyedHash& hash) : hash_(hash) {}

    struct Noted {
        enum { added, seen, noSpi, noMemory } outcome;
        std::uint64_t spi = 0;
        /// where it was added, for forget()
        Place place = 0;
    };

    /// Add a message, unless it is there. Of several threads with the same message one adds it.
    /// @param newSpi  gives the SPI for a new one, 0 if it can not
    template <typename NewSpi>
    Noted note(const Digest& message, NewSpi newSpi);

    /// SPI of a message that was added, if it was.
    std::optional<std::uint64_t> look(const Digest& message) const {
        std::uint64_t spi;
        return search(message, spi) == Search::there ? std::optional(spi) : std::nullopt;
    }

    /// Take out one that was added.
    void forget(Place place);

    std::uint64_t count() const { return index_.count(); }
    std::uint64_t bytes() const { return index_.bytes() + slab_.spans(); }

private:
    /// State of a node: life, and in the lowest two bits what it is now.
    enum State : std::uint64_t { unused, pending, given, rejected };
    static constexpr std::uint64_t kStateMask = 3;

    struct alignas(64) Node {
        std::atomic<std::uint64_t> state;
        std::atomic<std::uint64_t> low;
        std::atomic<std::uint64_t> high;
        std::atomic<std::uint64_t> spi;
        /// Order of those that are pending.
        std::atomic<std::uint64_t> order;
        std::atomic<Place> nextFree;
    };

    enum class Search { none, pending, there };

    static HashIndex::Hash hashOf(const Digest& digest) { return static_cast<HashIndex::Hash>(digest.low); }

    /// The node's state if it is in use and of that message.
    static bool read(const Node& node, const Digest& message, std::uint64_t& state) {
        // acquire: pairs with the release in add(). The digest is of this life unless the state changes.
        state = node.state.load(std::memory_order_acquire);
        return (state & kStateMask) != unused && node.low.load(std::memory_order_relaxed) == message.low &&
               node.high.load(std::memory_order_relaxed) == message.high;
    }
    static bool unchanged(const Node& node, std::uint64_t state) {
        // The loads of the digest and SPI were before this one: fetch_add of nothing is a release, too.
        return const_cast<Node&>(node).state.fetch_add(0, std::memory_order_acq_rel) == state;
    }

    Search search(const Digest& message, std::uint64_t& spi) const;
    std::optional<Place> add(const Digest& message, std::uint64_t spi);
    /// After add(): whether ours is the one that stays.
    bool prevails(const Digest& message, Place place);

    const KeyedHash& hash_;
    HashIndex index_;
    Slab<Node> slab_;
    alignas(64) std::atomic<std::uint64_t> order_{1};
};

template <typename NewSpi>
InitMessages::Noted InitMessages::note(const Digest& message, NewSpi newSpi) {
    std::uint64_t ours = 0;
    for (;;) {
        std::uint64_t theirs;
        switch (search(message, theirs)) {
            case Search::there:
                return {Noted::seen, theirs};
            case Search::pending:
                sched_yield();
                continue;
            case Search::none:
                break;
        }
        if (ours == 0 && (ours = newSpi()) == 0) {
            return {Noted::noSpi};
        }
        const auto place = add(message, ours);
        if (!place) {
            return {Noted::noMemory};
        }
        if (prevails(message, *place)) {
            return {Noted::added, ours, *place};
        }
        forget(*place);
    }
}

}  // namespace ivo
