// SPDX-License-Identifier: GPL-2.0-or-later
#include "half_open.h"

#include <algorithm>
#include <array>

namespace ivo {

bool HalfOpen::read(const Node& node, const Digest& digest, std::uint64_t& word) {
    // acquire: pairs with the release that put the node into use, so the digest is of this life or a later one; of a
    // later one only if the word has changed too, and then the caller's compare-and-swap fails.
    word = node.word.load(std::memory_order_acquire);
    return (word & kUsed) && node.low.load(std::memory_order_relaxed) == digest.low &&
           node.high.load(std::memory_order_relaxed) == digest.high;
}

bool HalfOpen::raise(const Address& address, Role role) {
    const Digest digest = digestOf(address);
    const bool counted = index_.find(hashOf(digest), [&](Place place) {
        Node& node = slab_[place];
        std::uint64_t word;
        while (read(node, digest, word) && countOf(word, role) < kMask) {
            if (node.word.compare_exchange_weak(word, word + one(role), std::memory_order_acq_rel)) {
                return true;
            }
        }
        return false;
    });
    if (!counted) {
        const auto place = slab_.take();
        if (!place) {
            return false;
        }
        Node& node = slab_[*place];
        const std::uint64_t life = node.word.load(std::memory_order_relaxed) >> kLifeShift << kLifeShift;
        node.low.store(digest.low, std::memory_order_relaxed);
        node.high.store(digest.high, std::memory_order_relaxed);
        node.word.store(life | kUsed | one(role), std::memory_order_release);
        if (!index_.insert(hashOf(digest), *place)) {
            node.word.store(life, std::memory_order_release);
            slab_.release(*place);
            return false;
        }
    }
    total_.fetch_add(1, std::memory_order_relaxed);
    if (role == Role::responder) {
        responded_.fetch_add(1, std::memory_order_relaxed);
    }
    return true;
}

bool HalfOpen::lower(const Address& address, Role role) {
    const Digest digest = digestOf(address);
    Place emptied = 0;
    bool empty = false;
    const bool counted = index_.find(hashOf(digest), [&](Place place) {
        Node& node = slab_[place];
        std::uint64_t word;
        while (read(node, digest, word) && countOf(word, role) > 0) {
            std::uint64_t less = word - one(role);
            empty = (less & (kUsed - 1)) == 0;
            if (empty) {
                // Nobody can raise it from here on: they need the life that they read.
                less = ((word >> kLifeShift) + 1) << kLifeShift;
            }
            if (node.word.compare_exchange_weak(word, less, std::memory_order_acq_rel)) {
                emptied = place;
                return true;
            }
        }
        return false;
    });
    if (!counted) {
        return false;
    }
    if (empty) {
        index_.remove(hashOf(digest), emptied);
        slab_.release(emptied);
    }
    total_.fetch_sub(1, std::memory_order_relaxed);
    if (role == Role::responder) {
        responded_.fetch_sub(1, std::memory_order_relaxed);
    }
    return true;
}

std::uint32_t HalfOpen::count(const Address& address, bool responderOnly) const {
    const Digest digest = digestOf(address);
    std::uint64_t sum = 0;
    // While the index grows it may show one twice.
    std::array<Place, 8> seen{};
    std::size_t known = 0;
    index_.find(hashOf(digest), [&](Place place) {
        std::uint64_t word;
        if (read(slab_[place], digest, word) &&
            std::find(seen.begin(), seen.begin() + known, place) == seen.begin() + known) {
            sum += countOf(word, Role::responder) + (responderOnly ? 0 : countOf(word, Role::initiator));
            if (known < seen.size()) {
                seen[known++] = place;
            }
        }
        return false;
    });
    return static_cast<std::uint32_t>(sum);
}

std::uint32_t HalfOpen::count(bool responderOnly) const {
    return static_cast<std::uint32_t>((responderOnly ? responded_ : total_).load(std::memory_order_relaxed));
}

}  // namespace ivo
