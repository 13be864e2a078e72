// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/sessiontable.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "address.h"
#include "hash_index.h"
#include "keyed_hash.h"
#include "slab.h"

namespace ivo {

/// CHILD_SAs by what is in each packet: SPI, destination, protocol. Apart from the IKE_SAs, because it is read for
/// packets and written at rekeys.
///
/// One cache line an entry and two entries a CHILD_SA, one for each direction; a look-up reads the line of the index
/// and that of the entry. No reader writes anything but `heard`. An entry never changes but for that: charon removes
/// and adds a CHILD_SA when its SPI, endpoint or owner changes.
class ChildSaTable {
public:
    ChildSaTable() = default;

    /// Add both directions, unless one of them is there. False when out of memory: neither was added.
    bool add(const ivo_child_sa_t& child);

    /// Remove both directions.
    void remove(std::uint32_t uniqueId);

    /// What is known of a packet's CHILD_SA; the inbound one if it fits both directions.
    std::optional<ivo_child_t> find(std::uint8_t protocol, std::uint32_t spi, const Address& destination) const;

    std::optional<ivo_child_t> find(std::uint32_t uniqueId) const;

    /// An authenticated packet came for it.
    bool heard(std::uint8_t protocol, std::uint32_t spi, const Address& destination, std::uint32_t now);

    /// Entries, two for each CHILD_SA.
    std::uint64_t count() const { return byPacket_.count(); }
    std::uint64_t bytes() const { return byPacket_.bytes() + byUniqueId_.bytes() + slab_.used() * sizeof(Entry); }

private:
    /// All fields are stored with release and loaded with acquire: a reader that has read a field of a later life then
    /// sees that life has changed, too. On x86 this costs nothing.
    struct alignas(64) Entry {
        /// Times it was used and given up: odd while in use.
        std::atomic<std::uint32_t> life;
        std::atomic<std::uint32_t> spi;
        /// Keyed hash of SPI, destination and protocol.
        std::atomic<std::uint64_t> key;
        /// charon's unique IDs of the IKE_SA and the CHILD_SA.
        std::atomic<std::uint32_t> session;
        union {
            std::atomic<std::uint32_t> child;
            std::atomic<Place> nextFree;
        };
        /// protocol, lengths of the two addresses, direction; and the endpoint's port.
        std::atomic<std::uint8_t> protocol;
        std::atomic<std::uint8_t> shape;
        std::atomic<std::uint16_t> port;
        /// Time in seconds.
        std::atomic<std::uint32_t> heard;
        std::array<std::atomic<std::uint64_t>, 2> inner;
        std::array<std::atomic<std::uint64_t>, 2> endpoint;
    };
    static_assert(sizeof(Entry) == 64);

    std::uint64_t keyOf(std::uint8_t protocol, std::uint32_t spi, const Address& destination) const;
    static HashIndex::Hash hashOf(std::uint64_t key) { return static_cast<HashIndex::Hash>(key); }
    HashIndex::Hash hashOfId(std::uint32_t uniqueId) const {
        return static_cast<HashIndex::Hash>(hash_.word(uniqueId));
    }

    /// Copy an entry if it is in use and fits.
    template <typename Fits>
    static bool read(const Entry& entry, Fits fits, ivo_child_t& out);
    template <typename Fits>
    std::optional<ivo_child_t> findIn(const HashIndex& index, HashIndex::Hash hash, Fits fits) const;
    /// Is one of this direction there?
    bool has(std::uint8_t protocol, std::uint32_t spi, const Address& destination, bool inbound) const;
    bool addEntry(const ivo_child_sa_t& child, bool inbound);
    void drop(Place place, std::uint32_t life);

    KeyedHash hash_;
    Slab<Entry> slab_;
    HashIndex byPacket_;
    HashIndex byUniqueId_;
};

}  // namespace ivo
