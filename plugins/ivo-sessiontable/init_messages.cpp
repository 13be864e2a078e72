// SPDX-License-Identifier: GPL-2.0-or-later
#include "init_messages.h"

namespace ivo {

InitMessages::Search InitMessages::search(const Digest& message, std::uint64_t& spi) const {
    Search found = Search::none;
    index_.find(hashOf(message), [&](Place place) {
        const Node& node = slab_[place];
        std::uint64_t state;
        if (!read(node, message, state)) {
            return false;
        }
        const std::uint64_t theirs = node.spi.load(std::memory_order_relaxed);
        if ((state & kStateMask) == given && unchanged(node, state)) {
            spi = theirs;
            found = Search::there;
            return true;
        }
        if ((state & kStateMask) == pending) {
            found = Search::pending;
        }
        return false;
    });
    return found;
}

std::optional<Place> InitMessages::add(const Digest& message, std::uint64_t spi) {
    const auto place = slab_.take();
    if (!place) {
        return std::nullopt;
    }
    Node& node = slab_[*place];
    const std::uint64_t life = node.state.load(std::memory_order_relaxed) & ~kStateMask;
    node.low.store(message.low, std::memory_order_relaxed);
    node.high.store(message.high, std::memory_order_relaxed);
    node.spi.store(spi, std::memory_order_relaxed);
    node.order.store(order_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
    node.state.store(life | pending, std::memory_order_release);
    if (!index_.insert(hashOf(message), *place)) {
        node.state.store(life | unused, std::memory_order_release);
        slab_.release(*place);
        return std::nullopt;
    }
    return place;
}

bool InitMessages::prevails(const Digest& message, Place place) {
    Node& ours = slab_[place];
    const std::uint64_t order = ours.order.load(std::memory_order_relaxed);
    // Of two threads that have both added theirs at least one must see the other's: both change order_ after adding,
    // and the one that comes second has all that the first did before.
    order_.fetch_add(1, std::memory_order_acq_rel);
    const bool lost = index_.find(hashOf(message), [&](Place other) {
        Node& node = slab_[other];
        std::uint64_t state;
        while (other != place && read(node, message, state)) {
            const bool earlier = node.order.load(std::memory_order_relaxed) < order;
            if ((state & kStateMask) == rejected) {
                return false;
            }
            if ((state & kStateMask) == given || earlier) {
                // Ours goes, and the next search waits for that one, or finds it.
                return true;
            }
            if (node.state.compare_exchange_strong(state, (state & ~kStateMask) | rejected,
                                                   std::memory_order_acq_rel)) {
                return false;
            }
        }
        return false;
    });
    std::uint64_t state = ours.state.load(std::memory_order_relaxed);
    return !lost && (state & kStateMask) == pending &&
           ours.state.compare_exchange_strong(state, (state & ~kStateMask) | given, std::memory_order_acq_rel);
}

void InitMessages::forget(Place place) {
    Node& node = slab_[place];
    const Digest message{node.low.load(std::memory_order_relaxed), node.high.load(std::memory_order_relaxed)};
    index_.remove(hashOf(message), place);
    const std::uint64_t life = node.state.load(std::memory_order_relaxed) & ~kStateMask;
    node.state.store((life + kStateMask + 1) | unused, std::memory_order_release);
    slab_.release(place);
}

}  // namespace ivo
