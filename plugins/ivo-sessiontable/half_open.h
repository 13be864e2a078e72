// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>

#include "address.h"
#include "hash_index.h"
#include "keyed_hash.h"
#include "slab.h"

namespace ivo {

enum class Role : std::uint8_t { responder, initiator };

/// How many IKE_SAs are half-open: all together, and with each peer's address. Lock-free.
///
/// A count that falls to 0 goes. Two threads may make one for the same address at the same time: their sum is the
/// address's count. Addresses are kept as digests, so one cache line holds a count of either family.
class HalfOpen {
public:
    explicit HalfOpen(const KeyedHash& hash) : hash_(hash) {}

    /// Count one more. When out of memory it is not counted for the address, and lower() finds less: false.
    bool raise(const Address& address, Role role);

    /// Count one less. False, and nothing is done, if there is none with that address and role.
    bool lower(const Address& address, Role role);

    std::uint32_t count(const Address& address, bool responderOnly) const;
    std::uint32_t count(bool responderOnly) const;

    std::uint64_t addresses() const { return index_.count(); }
    std::uint64_t bytes() const { return index_.bytes() + slab_.spans(); }

private:
    /// A count. Its word: life (15 bits), in use (1), initiated (24), responded (24).
    struct alignas(64) Node {
        std::atomic<std::uint64_t> word;
        std::atomic<std::uint64_t> low;
        std::atomic<std::uint64_t> high;
        std::atomic<Place> nextFree;
    };
    static constexpr std::uint64_t kMask = (1u << 24) - 1;
    static constexpr std::uint64_t kUsed = std::uint64_t{1} << 48;
    static constexpr unsigned kLifeShift = 49;

    static unsigned shift(Role role) { return role == Role::initiator ? 24 : 0; }
    static std::uint64_t one(Role role) { return std::uint64_t{1} << shift(role); }
    static std::uint64_t countOf(std::uint64_t word, Role role) { return (word >> shift(role)) & kMask; }

    Digest digestOf(const Address& address) const { return hash_.digest({address.bytes()}); }
    static HashIndex::Hash hashOf(const Digest& digest) { return static_cast<HashIndex::Hash>(digest.low); }

    /// The node's word if it is in use and of that address.
    static bool read(const Node& node, const Digest& digest, std::uint64_t& word);

    const KeyedHash& hash_;
    HashIndex index_;
    Slab<Node> slab_;
    alignas(64) std::atomic<std::uint64_t> total_{0};
    std::atomic<std::uint64_t> responded_{0};
};

}  // namespace ivo
