// SPDX-License-Identifier: GPL-2.0-or-later
#include "child_sa_table.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace ivo {

namespace {

constexpr std::uint8_t kInbound = 1;
constexpr auto kLoad = std::memory_order_acquire;
constexpr auto kStore = std::memory_order_release;

/// The lengths of two addresses, 0, 4 or 16 each, and the direction.
std::uint8_t shapeOf(const ivo_address_t& inner, const ivo_address_t& endpoint, bool inbound) {
    return static_cast<std::uint8_t>((inner.length / 4) << 5 | (endpoint.length / 4) << 2 | (inbound ? kInbound : 0));
}
std::uint8_t innerLength(std::uint8_t shape) {
    return static_cast<std::uint8_t>((shape >> 5) * 4);
}
std::uint8_t endpointLength(std::uint8_t shape) {
    return static_cast<std::uint8_t>((shape >> 2 & 7) * 4);
}

using Words = std::array<std::atomic<std::uint64_t>, 2>;

void store(Words& words, const ivo_address_t& address) {
    std::uint64_t word[2] = {};
    std::memcpy(word, address.bytes, sizeof(word));
    words[0].store(word[0], kStore);
    words[1].store(word[1], kStore);
}

void load(const Words& words, std::uint8_t length, ivo_address_t& address) {
    const std::uint64_t word[2] = {words[0].load(kLoad), words[1].load(kLoad)};
    address.length = length;
    std::memcpy(address.bytes, word, sizeof(word));
}

}  // namespace

std::uint64_t ChildSaTable::keyOf(std::uint8_t protocol, std::uint32_t spi, const Address& destination) const {
    std::array<std::uint8_t, 21> packed;
    const auto bytes = destination.bytes();
    std::memcpy(packed.data(), &spi, sizeof(spi));
    packed[4] = protocol;
    std::ranges::copy(bytes, packed.begin() + 5);
    return hash_.bytes(std::span(packed).first(5 + bytes.size()));
}

template <typename Fits>
bool ChildSaTable::read(const Entry& entry, Fits fits, ivo_child_t& out) {
    // All that is read, what it is found by included, is of the life that it began with, or the life has changed.
    const std::uint32_t life = entry.life.load(kLoad);
    if (!(life & 1) || !fits(entry)) {
        return false;
    }
    const std::uint8_t shape = entry.shape.load(kLoad);
    out.unique_id = entry.child.load(kLoad);
    out.ike_unique_id = entry.session.load(kLoad);
    out.spi = entry.spi.load(kLoad);
    out.protocol = entry.protocol.load(kLoad);
    out.inbound = shape & kInbound;
    out.port = entry.port.load(kLoad);
    out.heard = entry.heard.load(kLoad);
    load(entry.inner, innerLength(shape), out.inner);
    load(entry.endpoint, endpointLength(shape), out.endpoint);
    return entry.life.load(std::memory_order_relaxed) == life;
}

template <typename Fits>
std::optional<ivo_child_t> ChildSaTable::findIn(const HashIndex& index, HashIndex::Hash hash, Fits fits) const {
    std::optional<ivo_child_t> found;
    index.find(hash, [&](Place place) {
        const Entry& entry = slab_[place];
        ivo_child_t child{};
        if (read(entry, fits, child)) {
            found = child;
        }
        return found && found->inbound;
    });
    return found;
}

std::optional<ivo_child_t> ChildSaTable::find(std::uint8_t protocol, std::uint32_t spi,
                                              const Address& destination) const {
    const std::uint64_t key = keyOf(protocol, spi, destination);
    return findIn(byPacket_, hashOf(key), [&](const Entry& entry) { return entry.key.load(kLoad) == key; });
}

std::optional<ivo_child_t> ChildSaTable::find(std::uint32_t uniqueId) const {
    return findIn(byUniqueId_, hashOfId(uniqueId),
                  [&](const Entry& entry) { return entry.child.load(kLoad) == uniqueId; });
}

bool ChildSaTable::heard(std::uint8_t protocol, std::uint32_t spi, const Address& destination, std::uint32_t now) {
    const std::uint64_t key = keyOf(protocol, spi, destination);
    return byPacket_.find(hashOf(key), [&](Place place) {
        Entry& entry = slab_[place];
        if (entry.key.load(kLoad) != key || !(entry.life.load(kLoad) & 1)) {
            return false;
        }
        // Whoever hears it within the same second leaves the line unwritten.
        std::uint32_t before = entry.heard.load(kLoad);
        if (before < now) {
            entry.heard.compare_exchange_strong(before, now, std::memory_order_acq_rel);
        }
        return true;
    });
}

bool ChildSaTable::addEntry(const ivo_child_sa_t& child, bool inbound) {
    const auto place = slab_.take();
    if (!place) {
        return false;
    }
    Entry& entry = slab_[*place];
    const std::uint32_t spi = inbound ? child.spi_in : child.spi_out;
    const std::uint64_t key = keyOf(child.protocol, spi, Address(inbound ? child.local : child.remote));
    entry.spi.store(spi, kStore);
    entry.key.store(key, kStore);
    entry.session.store(child.ike_unique_id, kStore);
    entry.child.store(child.unique_id, kStore);
    entry.protocol.store(child.protocol, kStore);
    entry.shape.store(shapeOf(child.inner, child.remote, inbound), kStore);
    entry.port.store(child.remote_port, kStore);
    entry.heard.store(child.now, kStore);
    store(entry.inner, child.inner);
    store(entry.endpoint, child.remote);
    const std::uint32_t life = entry.life.load(std::memory_order_relaxed) + 1;
    entry.life.store(life, kStore);
    if (byUniqueId_.insert(hashOfId(child.unique_id), *place)) {
        if (byPacket_.insert(hashOf(key), *place)) {
            return true;
        }
        byUniqueId_.remove(hashOfId(child.unique_id), *place);
    }
    entry.life.store(life + 1, kStore);
    slab_.release(*place);
    return false;
}

bool ChildSaTable::has(std::uint8_t protocol, std::uint32_t spi, const Address& destination, bool inbound) const {
    const std::uint64_t key = keyOf(protocol, spi, destination);
    return byPacket_.find(hashOf(key), [&](Place place) {
        const Entry& entry = slab_[place];
        ivo_child_t child{};
        return read(
                   entry, [&](const Entry& one) { return one.key.load(kLoad) == key; }, child) &&
               child.inbound == inbound;
    });
}

bool ChildSaTable::add(const ivo_child_sa_t& child) {
    if (has(child.protocol, child.spi_in, Address(child.local), true) ||
        has(child.protocol, child.spi_out, Address(child.remote), false)) {
        return true;
    }
    if (!addEntry(child, true)) {
        return false;
    }
    if (!addEntry(child, false)) {
        remove(child.unique_id);
        return false;
    }
    return true;
}

void ChildSaTable::drop(Place place, std::uint32_t life) {
    Entry& entry = slab_[place];
    const std::uint64_t key = entry.key.load(kLoad);
    const std::uint32_t child = entry.child.load(kLoad);
    // Of several threads that remove it one does.
    if (!entry.life.compare_exchange_strong(life, life + 1, std::memory_order_acq_rel)) {
        return;
    }
    byPacket_.remove(hashOf(key), place);
    byUniqueId_.remove(hashOfId(child), place);
    slab_.release(place);
}

void ChildSaTable::remove(std::uint32_t uniqueId) {
    for (bool again = true; again;) {
        Place place = 0;
        std::uint32_t life = 0;
        again = byUniqueId_.find(hashOfId(uniqueId), [&](Place candidate) {
            const Entry& entry = slab_[candidate];
            life = entry.life.load(kLoad);
            place = candidate;
            return (life & 1) && entry.child.load(kLoad) == uniqueId;
        });
        if (again) {
            drop(place, life);
        }
    }
}

}  // namespace ivo
