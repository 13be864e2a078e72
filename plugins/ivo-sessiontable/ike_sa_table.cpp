// SPDX-License-Identifier: GPL-2.0-or-later
#include "ike_sa_table.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <pthread.h>
#include <sched.h>

namespace ivo {

namespace {

constexpr std::uint8_t kIkeV1 = 1;
constexpr std::uint8_t kIkeV2 = 2;

template <typename T>
std::span<const std::uint8_t> bytesOf(const T& value) {
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(value)};
}

/// The SPI that is ours: we chose it, or for IKEv1 the only one that both sides know from the first message on.
std::uint64_t keySpi(const ivo_ike_id_t& id) {
    return id.version == kIkeV1 || id.initiator ? id.initiator_spi : id.responder_spi;
}

}  // namespace

IkeSaTable::IkeSaTable() = default;

std::uint64_t IkeSaTable::thisThread() {
    return static_cast<std::uint64_t>(pthread_self());
}

void IkeSaTable::attach(const ivo_charon_t& charon, const ivo_sessiontable_settings_t& settings) {
    charon_ = &charon;
    settings_ = settings;
    draining_.store(false, std::memory_order_seq_cst);
}

// --- looking up

HashIndex::Hash IkeSaTable::hashOf(const ivo_ike_id_t& id) const {
    return hashOf(keySpi(id));
}

bool IkeSaTable::matches(const IkeSaSlot& slot, const ivo_ike_id_t& id) {
    const std::uint64_t initiatorSpi = slot.initiatorSpi.load(std::memory_order_relaxed);
    if (initiatorSpi != id.initiator_spi) {
        return false;
    }
    const std::uint64_t responderSpi = slot.responderSpi.load(std::memory_order_relaxed);
    const std::uint8_t version = slot.version.load(std::memory_order_relaxed);
    const bool initiator = slot.initiator.load(std::memory_order_relaxed);
    if (version == id.version && (version == kIkeV1 || initiator == id.initiator) && responderSpi == id.responder_spi) {
        return true;
    }
    // One side does not know the responder's SPI yet: a job with an ID from before, or we before the first response.
    return (responderSpi == 0 || id.responder_spi == 0) && (id.version == kIkeV1 || initiator == id.initiator);
}

ivo_ike_id_t IkeSaTable::idOf(const IkeSaSlot& slot) {
    ivo_ike_id_t id{};
    id.initiator_spi = slot.initiatorSpi.load(std::memory_order_acquire);
    id.responder_spi = slot.responderSpi.load(std::memory_order_acquire);
    id.version = slot.version.load(std::memory_order_acquire);
    id.initiator = slot.initiator.load(std::memory_order_acquire);
    return id;
}

// What the two find() read of a slot belongs to the generation that they read before it. If the slot's life ended
// since, the compare-and-swap that takes the turn fails, as the word has changed; if it succeeds, that life goes on,
// and what was read before was written during it.

std::optional<IkeSaTable::Found> IkeSaTable::find(const ivo_ike_id_t& id) const {
    std::optional<Found> newest;
    std::uint64_t newestOrder = 0;
    bySpi_.find(hashOf(id), [&](Place place) {
        const IkeSaSlot& slot = this->slot(place);
        const Generation generation = slot.turn.generation();
        if (slot.turn.alive() && matches(slot, id)) {
            const std::uint64_t order = slot.order.load(std::memory_order_relaxed);
            if (order > newestOrder) {
                newest = Found(place, generation);
                newestOrder = order;
            }
        }
        return false;
    });
    return newest;
}

std::optional<IkeSaTable::Found> IkeSaTable::find(std::uint32_t uniqueId) const {
    std::optional<Found> found;
    byUniqueId_.find(hashOf(uniqueId), [&](Place place) {
        const IkeSaSlot& slot = this->slot(place);
        const Generation generation = slot.turn.generation();
        if (slot.turn.alive() && slot.uniqueId.load(std::memory_order_relaxed) == uniqueId) {
            found = Found(place, generation);
            return true;
        }
        return false;
    });
    return found;
}

thread_local IkeSaTable::Last IkeSaTable::last_;

std::optional<Place> IkeSaTable::find(void* sa) const {
    // The caller has it, so the slot does not change under us; and the SA's address is nobody else's: whatever live
    // slot has it is the one. Mostly it is the one that this thread checked out last.
    if (last_.table == this && last_.place < slots_.used()) {
        const IkeSaSlot& slot = this->slot(last_.place);
        if (slot.sa.load(std::memory_order_relaxed) == sa && slot.turn.alive()) {
            return last_.place;
        }
    }
    std::optional<Place> found;
    byUniqueId_.find(hashOf(charon_->unique_id(charon_, sa)), [&](Place place) {
        const IkeSaSlot& slot = this->slot(place);
        if (slot.sa.load(std::memory_order_relaxed) == sa && slot.turn.alive()) {
            found = place;
            return true;
        }
        return false;
    });
    return found;
}

// --- taking and leaving

IkeSaTable::Result IkeSaTable::take(Place place, Generation generation, bool wait, std::uint32_t most) {
    IkeSaSlot& slot = this->slot(place);
    last_ = {this, place};
    const bool walking = walking_.load(std::memory_order_relaxed) != 0;
    // Only this thread writes its own number there, and takes it away again: no other order is needed.
    if (walking && slot.walker.load(std::memory_order_relaxed) == thisThread()) {
        slot.borrowed++;
        return Result::mine;
    }
    if (!wait) {
        return slot.turn.tryTake(generation);
    }
    return slot.turn.take(generation, most, [&] {
        if (walking_.load(std::memory_order_relaxed) != 0) {
            giveUpWalks(thisThread());
        }
    });
}

void IkeSaTable::leave(Place place) {
    IkeSaSlot& slot = this->slot(place);
    const bool walked = slot.walker.load(std::memory_order_relaxed) != 0;
    if (slot.borrowed > 0) {
        slot.borrowed--;
        if (walked || slot.borrowed > 0) {
            return;
        }
        // The walk that lent it has gone on.
    } else if (walked) {
        // The walk stands on it, and goes on standing there.
        return;
    }
    slot.turn.leave();
}

CheckedOut IkeSaTable::checkout(const ivo_ike_id_t& id, ivo_checkout_t& how) {
    while (const auto found = find(id)) {
        switch (take(found->first, found->second, true, Turnstile::kMostWaiting)) {
            case Result::mine:
                how = IVO_CHECKOUT_FOUND;
                return {*this, found->first};
            case Result::gone:
                how = IVO_CHECKOUT_GOING;
                return {};
            case Result::busy:
                how = IVO_CHECKOUT_BUSY;
                return {};
            case Result::over:
                break;
        }
    }
    how = IVO_CHECKOUT_UNKNOWN;
    return {};
}

CheckedOut IkeSaTable::checkout(std::uint32_t uniqueId) {
    while (const auto found = find(uniqueId)) {
        switch (take(found->first, found->second, true, Turnstile::kMostWaiting)) {
            case Result::mine:
                return {*this, found->first};
            case Result::over:
                break;
            default:
                return {};
        }
    }
    return {};
}

// --- messages

Digest IkeSaTable::digestOf(const ivo_ike_message_t& message) const {
    const Address source(message.source);
    const std::span<const std::uint8_t> all(message.bytes, message.length);
    if (message.fragment_v1) {
        // Other fragments of the same message differ: the sender and its SPI tell.
        return hash_.digest({source.bytes(), bytesOf(message.source_port), bytesOf(message.id.initiator_spi)});
    }
    if (message.exchange == IVO_EXCHANGE_MAIN_MODE) {
        // Two initiators that use the same SPI and proposal send the same bytes.
        return hash_.digest({source.bytes(), all});
    }
    return hash_.digest({all});
}

namespace {

/// An initial message, which receiver_t has counted as half-open; `version` is the IKE version it asks for, or 0 for
/// one that no IKE_SA is made for.
bool isInitial(const ivo_ike_message_t& message, std::uint8_t& version) {
    const bool first = message.message_id == 0 && message.id.responder_spi == 0;
    version = 0;
    if (message.exchange == IVO_EXCHANGE_IKE_SA_INIT && message.request) {
        version = first && message.id.version == kIkeV2 ? kIkeV2 : std::uint8_t{0};
        return true;
    }
    if ((message.exchange == IVO_EXCHANGE_MAIN_MODE || message.exchange == IVO_EXCHANGE_AGGRESSIVE_MODE) &&
        message.id.responder_spi == 0) {
        version = first && message.id.version == kIkeV1 ? kIkeV1 : std::uint8_t{0};
        return true;
    }
    return false;
}

/// The count of a message as half-open, to be taken back unless an IKE_SA takes it over.
class Tracked {
public:
    Tracked(HalfOpen& halfOpen, const Address& source, bool tracked)
        : halfOpen_(halfOpen), source_(source), tracked_(tracked) {}
    Tracked(const Tracked&) = delete;
    Tracked& operator=(const Tracked&) = delete;
    ~Tracked() { end(); }

    void end() {
        if (tracked_) {
            halfOpen_.lower(source_, Role::responder);
            tracked_ = false;
        }
    }
    void handOver() { tracked_ = false; }

private:
    HalfOpen& halfOpen_;
    const Address& source_;
    bool tracked_;
};

}  // namespace

ivo_init_t IkeSaTable::initOf(const ivo_ike_message_t& message) const {
    std::uint8_t version;
    if (!isInitial(message, version) || version == 0) {
        return IVO_INIT_NONE;
    }
    return inits_.look(digestOf(message)) ? IVO_INIT_KNOWN : IVO_INIT_NEW;
}

CheckedOut IkeSaTable::checkout(const ivo_ike_message_t& message, ivo_checkout_t& how) {
    std::uint8_t version;
    const Address source(message.source);
    Tracked tracked(halfOpen_, source, isInitial(message, version));

    // The ID as we keep it: the flag says whether we are the initiator.
    ivo_ike_id_t id = message.id;
    id.initiator = !id.initiator;
    if (version != 0) {
        if (version == kIkeV1) {
            id.initiator = false;
        }
        const auto noted = inits_.note(digestOf(message), [&] { return charon_->new_spi(charon_); });
        switch (noted.outcome) {
            case InitMessages::Noted::added: {
                CheckedOut created = create(message, id, noted, how);
                if (created) {
                    tracked.handOver();
                } else {
                    inits_.forget(noted.place);
                }
                return created;
            }
            case InitMessages::Noted::noSpi:
                how = IVO_CHECKOUT_NO_SPI;
                return {};
            case InitMessages::Noted::noMemory:
                how = IVO_CHECKOUT_NO_MEMORY;
                return {};
            case InitMessages::Noted::seen:
                id.responder_spi = noted.spi;
                // What follows may wait: a retransmission is not half-open meanwhile.
                tracked.end();
                break;
        }
    }

    const std::uint32_t most = std::max(1u, settings_.threads / 2);
    while (const auto found = find(id)) {
        IkeSaSlot& slot = this->slot(found->first);
        if (slot.processing.load(std::memory_order_relaxed) == message.processing) {
            how = IVO_CHECKOUT_PROCESSING;
            return {};
        }
        switch (take(found->first, found->second, true, most)) {
            case Result::mine:
                if (!message.fragment_v1 && !message.fragment_v2) {
                    slot.processing.store(message.processing, std::memory_order_relaxed);
                }
                how = IVO_CHECKOUT_FOUND;
                return {*this, found->first};
            case Result::gone:
                how = IVO_CHECKOUT_GOING;
                return {};
            case Result::busy:
                refused_.raise();
                how = IVO_CHECKOUT_BUSY;
                return {};
            case Result::over:
                break;
        }
    }
    how = IVO_CHECKOUT_UNKNOWN;
    return {};
}

template <typename Fill>
std::optional<Place> IkeSaTable::enter(void* sa, const ivo_ike_sa_t& description, Fill fill) {
    const auto place = slots_.take();
    if (!place) {
        return std::nullopt;
    }
    IkeSaSlot& slot = this->slot(*place);
    slot.initiatorSpi.store(description.id.initiator_spi, std::memory_order_release);
    slot.responderSpi.store(description.id.responder_spi, std::memory_order_release);
    slot.version.store(description.id.version, std::memory_order_release);
    slot.initiator.store(description.id.initiator, std::memory_order_release);
    slot.uniqueId.store(description.unique_id, std::memory_order_relaxed);
    slot.sa.store(sa, std::memory_order_relaxed);
    slot.processing.store(kNoMessage, std::memory_order_relaxed);
    slot.walker.store(0, std::memory_order_relaxed);
    slot.hasPeers.store(false, std::memory_order_relaxed);
    slot.order.store(order_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
    slot.other = Address();
    slot.halfOpen = false;
    slot.hasInit = false;
    slot.borrowed = 0;
    slot.spiHash = hashOf(description.id);
    fill(slot);

    // Counted first: flush() looks for new ones as long as there are any.
    count_.fetch_add(1, std::memory_order_seq_cst);
    slot.turn.begin(true);
    if (draining_.load(std::memory_order_seq_cst)) {
        slot.turn.driveOut();
    }
    const bool known = bySpi_.insert(slot.spiHash, *place);
    if (known && byUniqueId_.insert(hashOf(description.unique_id), *place)) {
        registered_.raise();
        return place;
    }
    if (known) {
        bySpi_.remove(slot.spiHash, *place);
    }
    // Somebody may have found it already.
    slot.turn.driveOut();
    slot.turn.waitAlone();
    count_.fetch_sub(1, std::memory_order_seq_cst);
    slot.turn.end();
    slots_.release(*place);
    return std::nullopt;
}

CheckedOut IkeSaTable::create(const ivo_ike_message_t& message, ivo_ike_id_t id, const InitMessages::Noted& noted,
                              ivo_checkout_t& how) {
    if (settings_.ikesa_limit != 0 && count() >= settings_.ikesa_limit) {
        how = IVO_CHECKOUT_LIMIT;
        return {};
    }
    id.responder_spi = noted.spi;
    void* sa = charon_->create(charon_, &id);
    if (!sa) {
        how = IVO_CHECKOUT_NOT_CREATED;
        return {};
    }
    ivo_ike_sa_t description{};
    description.id = id;
    description.unique_id = charon_->unique_id(charon_, sa);
    const auto place = enter(sa, description, [&](IkeSaSlot& slot) {
        slot.processing.store(message.processing, std::memory_order_relaxed);
        slot.other = Address(message.source);
        slot.halfOpen = true;
        slot.hasInit = true;
        slot.init = noted.place;
    });
    if (!place) {
        charon_->destroy(charon_, sa);
        how = IVO_CHECKOUT_NO_MEMORY;
        return {};
    }
    how = IVO_CHECKOUT_CREATED;
    return {*this, *place};
}

// --- coming, changing, going

bool IkeSaTable::add(void* sa) {
    ivo_ike_sa_t description{};
    charon_->describe(charon_, sa, &description);
    const auto place = enter(sa, description, [](IkeSaSlot&) {});
    if (!place) {
        return false;
    }
    charon_->other_address(charon_, sa, &description.other);
    setHalfOpen(slot(*place), description);
    return true;
}

bool IkeSaTable::update(void* sa, bool& wantsPeers) {
    ivo_ike_sa_t description{};
    charon_->describe(charon_, sa, &description);
    auto place = find(sa);
    if (place) {
        setId(slot(*place), *place, description.id);
        slot(*place).processing.store(kNoMessage, std::memory_order_relaxed);
    } else if (!(place = enter(sa, description, [](IkeSaSlot&) {}))) {
        wantsPeers = false;
        return false;
    }
    IkeSaSlot& slot = this->slot(*place);
    wantsPeers = description.established && !slot.hasPeers.load(std::memory_order_relaxed);
    // The address is somewhere else in memory, and mostly of no interest.
    if (description.connecting || (wantsPeers && !slot.other)) {
        charon_->other_address(charon_, sa, &description.other);
    }
    setHalfOpen(slot, description);
    if (wantsPeers && !slot.other) {
        slot.other = Address(description.other);
    }
    return true;
}

void IkeSaTable::setId(IkeSaSlot& slot, Place place, const ivo_ike_id_t& id) {
    const HashIndex::Hash before = slot.spiHash;
    const HashIndex::Hash after = keySpi(id) == keySpi(idOf(slot)) ? before : hashOf(id);
    // Known by both for a moment, so that it is always found by one of them. Without memory it stays where it was.
    if (after != before && bySpi_.insert(after, place)) {
        slot.spiHash = after;
    }
    slot.initiatorSpi.store(id.initiator_spi, std::memory_order_release);
    slot.responderSpi.store(id.responder_spi, std::memory_order_release);
    slot.version.store(id.version, std::memory_order_release);
    slot.initiator.store(id.initiator, std::memory_order_release);
    if (slot.spiHash != before) {
        bySpi_.remove(before, place);
    }
}

ivo_checkout_t IkeSaTable::changeSpi(void* sa, std::uint64_t spi) {
    const auto place = find(sa);
    if (!place) {
        return IVO_CHECKOUT_UNKNOWN;
    }
    IkeSaSlot& slot = this->slot(*place);
    Generation generation;
    if (!slot.turn.open(generation)) {
        return IVO_CHECKOUT_GOING;
    }
    ivo_ike_sa_t description{};
    charon_->describe(charon_, sa, &description);
    description.id.initiator_spi = spi;
    setId(slot, *place, description.id);
    return slot.spiHash == hashOf(description.id) ? IVO_CHECKOUT_FOUND : IVO_CHECKOUT_NO_MEMORY;
}

void IkeSaTable::setHalfOpen(IkeSaSlot& slot, const ivo_ike_sa_t& description) {
    const Address other(description.other);
    const Role role = description.id.initiator ? Role::initiator : Role::responder;
    if (slot.halfOpen && !description.connecting) {
        forgetHalfOpen(slot);
    } else if (slot.halfOpen && other != slot.other) {
        forgetHalfOpen(slot);
        slot.other = other;
        slot.halfOpen = halfOpen_.raise(other, role);
    } else if (!slot.halfOpen && description.connecting) {
        slot.other = other;
        slot.halfOpen = halfOpen_.raise(other, role);
    }
}

void IkeSaTable::forgetHalfOpen(IkeSaSlot& slot) {
    const bool initiator = slot.initiator.load(std::memory_order_relaxed);
    halfOpen_.lower(slot.other, initiator ? Role::initiator : Role::responder);
    slot.halfOpen = false;
}

Digest IkeSaTable::digestOf(const ivo_peers_t& peers) const {
    // The lengths keep the pieces apart.
    return hash_.digest({bytesOf(peers.me.type),
                         bytesOf(peers.me.length),
                         {peers.me.bytes, peers.me.length},
                         bytesOf(peers.other.type),
                         {peers.other.bytes, peers.other.length}});
}

void IkeSaTable::setPeers(void* sa, const ivo_peers_t& peers) {
    const auto place = find(sa);
    if (!place) {
        return;
    }
    IkeSaSlot& slot = this->slot(*place);
    const Digest digest = digestOf(peers);
    slot.peersLow.store(digest.low, std::memory_order_release);
    slot.peersHigh.store(digest.high, std::memory_order_release);
    const std::uint64_t order = order_.fetch_add(1, std::memory_order_relaxed);
    const std::uint8_t family = slot.other.family();
    std::uint64_t since = order;
    byPeers_.find(static_cast<HashIndex::Hash>(digest.low), [&](Place other) {
        const IkeSaSlot& present = this->slot(other);
        const Generation generation = present.turn.generation();
        if (!between(present, digest, family)) {
            return false;
        }
        const std::uint64_t theirs = present.peersSince.load(std::memory_order_acquire);
        if (present.turn.generation() != generation) {
            return false;
        }
        since = theirs;
        return true;
    });
    slot.peersOrder.store(order, std::memory_order_release);
    slot.peersSince.store(since, std::memory_order_release);
    slot.family.store(family, std::memory_order_release);
    if (byPeers_.insert(static_cast<HashIndex::Hash>(digest.low), *place)) {
        // release: pairs with the acquire of those who find it.
        slot.hasPeers.store(true, std::memory_order_release);
    }
}

void IkeSaTable::release(void* sa) {
    if (const auto place = find(sa)) {
        leave(*place);
    }
}

ivo_destroyed_t IkeSaTable::destroy(void* sa) {
    const auto place = find(sa);
    if (!place) {
        return IVO_NOT_REGISTERED;
    }
    IkeSaSlot& slot = this->slot(*place);
    if (slot.walker.load(std::memory_order_relaxed) != 0) {
        forgetWalks(*place);
    }
    slot.borrowed = 0;
    if (!slot.turn.driveOut()) {
        slot.turn.leave();
        return IVO_LEFT_TO_FLUSH;
    }
    slot.turn.waitAlone();
    charon_->destroy(charon_, drop(*place));
    return IVO_DESTROYED;
}

void* IkeSaTable::drop(Place place) {
    IkeSaSlot& slot = this->slot(place);
    bySpi_.remove(slot.spiHash, place);
    byUniqueId_.remove(hashOf(slot.uniqueId.load(std::memory_order_relaxed)), place);
    if (slot.hasPeers.load(std::memory_order_relaxed)) {
        byPeers_.remove(static_cast<HashIndex::Hash>(slot.peersLow.load(std::memory_order_relaxed)), place);
    }
    if (slot.halfOpen) {
        forgetHalfOpen(slot);
    }
    if (slot.hasInit) {
        inits_.forget(slot.init);
    }
    void* sa = slot.sa.load(std::memory_order_relaxed);
    slot.turn.end();
    slots_.release(place);
    count_.fetch_sub(1, std::memory_order_seq_cst);
    return sa;
}

void IkeSaTable::flush() {
    draining_.store(true, std::memory_order_seq_cst);
    // What comes in meanwhile is driven out by itself, or by the next round.
    while (count_.load(std::memory_order_seq_cst) != 0) {
        for (Place place = 0; place < slots_.used(); place++) {
            Generation generation;
            if (slot(place).turn.open(generation)) {
                slot(place).turn.driveOut(generation);
            }
        }
        for (Place place = 0; place < slots_.used(); place++) {
            IkeSaSlot& slot = this->slot(place);
            const Generation generation = slot.turn.generation();
            if (slot.turn.alive() && slot.turn.takeIdle(generation)) {
                charon_->close(charon_, slot.sa.load(std::memory_order_relaxed));
                charon_->destroy(charon_, drop(place));
            }
        }
        sched_yield();
    }
}

void IkeSaTable::clear() {
    for (Place place = 0; place < slots_.used(); place++) {
        if (slot(place).turn.alive()) {
            charon_->enter(charon_, slot(place).sa.load(std::memory_order_relaxed));
            charon_->destroy(charon_, drop(place));
        }
    }
}

// --- identities

bool IkeSaTable::between(const IkeSaSlot& slot, const Digest& peers, std::uint8_t family) {
    return slot.turn.alive() && slot.hasPeers.load(std::memory_order_acquire) &&
           slot.peersLow.load(std::memory_order_acquire) == peers.low &&
           slot.peersHigh.load(std::memory_order_acquire) == peers.high &&
           (family == 0 || slot.family.load(std::memory_order_acquire) == family);
}

// The identities and the ID must be those of one life: check_uniqueness() may destroy the SA of that ID. All that is
// read here is loaded with acquire and was stored with release, so whoever has read something of a later life also sees
// that the generation has changed.

bool IkeSaTable::hasContact(const ivo_peers_t& peers, std::uint8_t family) const {
    const Digest digest = digestOf(peers);
    return byPeers_.find(static_cast<HashIndex::Hash>(digest.low), [&](Place place) {
        const IkeSaSlot& slot = this->slot(place);
        const Generation generation = slot.turn.generation();
        return between(slot, digest, family) && slot.turn.generation() == generation;
    });
}

std::vector<ivo_ike_id_t> IkeSaTable::idsBetween(const ivo_peers_t& peers, std::uint8_t family) const {
    struct Found {
        std::uint64_t since;
        std::uint64_t order;
        ivo_ike_id_t id;
    };
    const Digest digest = digestOf(peers);
    std::vector<Found> found;
    std::uint64_t latest = 0;
    byPeers_.find(static_cast<HashIndex::Hash>(digest.low), [&](Place place) {
        const IkeSaSlot& slot = this->slot(place);
        const Generation generation = slot.turn.generation();
        if (!between(slot, digest, family)) {
            return false;
        }
        const Found one{slot.peersSince.load(std::memory_order_acquire),
                        slot.peersOrder.load(std::memory_order_acquire), idOf(slot)};
        if (slot.turn.generation() == generation) {
            latest = std::max(latest, one.since);
            found.push_back(one);
        }
        return false;
    });
    // For any family charon's manager gives those of one family only, of the one that came last. Nobody in charon asks
    // for any family; who does gets what he would get there.
    if (family == 0) {
        std::erase_if(found, [&](const Found& one) { return one.since != latest; });
    }
    std::ranges::sort(found, {}, &Found::order);
    // A growing index may show one twice.
    const auto same = [](const Found& one, const Found& other) { return one.order == other.order; };
    found.erase(std::unique(found.begin(), found.end(), same), found.end());
    std::vector<ivo_ike_id_t> ids;
    ids.reserve(found.size());
    for (const Found& one : found) {
        ids.push_back(one.id);
    }
    return ids;
}

// --- walks

Walk::Walk(IkeSaTable& table, bool wait, bool newestFirst) : table_(table), wait_(wait), newestFirst_(newestFirst) {
    thread_.store(IkeSaTable::thisThread(), std::memory_order_relaxed);
    if (newestFirst_) {
        std::vector<std::pair<std::uint64_t, std::pair<Place, Generation>>> all;
        for (Place place = 0; place < table_.slots_.used(); place++) {
            const IkeSaSlot& slot = table_.slot(place);
            const Generation generation = slot.turn.generation();
            if (slot.turn.alive()) {
                all.push_back({slot.order.load(std::memory_order_relaxed), {place, generation}});
            }
        }
        std::ranges::sort(all, std::greater<>{}, [](const auto& one) { return one.first; });
        for (const auto& one : all) {
            collected_.push_back(one.second);
        }
    }
    const std::lock_guard lock(table_.walksMutex_);
    table_.walks_.push_back(this);
    table_.walking_.fetch_add(1, std::memory_order_relaxed);
}

Walk::~Walk() {
    leave();
    const std::lock_guard lock(table_.walksMutex_);
    std::erase(table_.walks_, this);
    table_.walking_.fetch_sub(1, std::memory_order_relaxed);
}

std::optional<std::pair<Place, Generation>> Walk::candidate() {
    if (newestFirst_) {
        return at_ < collected_.size() ? std::optional(collected_[at_++]) : std::nullopt;
    }
    while (at_ < table_.slots_.used()) {
        const Place place = static_cast<Place>(at_++);
        Generation generation;
        if (table_.slot(place).turn.open(generation)) {
            return std::pair(place, generation);
        }
    }
    return std::nullopt;
}

void* Walk::next() {
    leave();
    thread_.store(IkeSaTable::thisThread(), std::memory_order_relaxed);
    while (const auto found = candidate()) {
        const auto [place, generation] = *found;
        if (table_.take(place, generation, wait_, Turnstile::kMostWaiting) != Turnstile::Result::mine) {
            continue;
        }
        IkeSaSlot& slot = table_.slot(place);
        borrows_ = slot.borrowed > 0;
        if (!borrows_) {
            slot.walker.store(thread_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        }
        standing_ = place;
        return slot.sa.load(std::memory_order_relaxed);
    }
    return nullptr;
}

void Walk::leave() {
    if (!standing_) {
        return;
    }
    IkeSaSlot& slot = table_.slot(*standing_);
    if (borrows_) {
        table_.leave(*standing_);
    } else {
        slot.walker.store(0, std::memory_order_relaxed);
        if (slot.borrowed == 0) {
            slot.turn.leave();
        }
        // Otherwise its thread has it checked out and checks it in.
    }
    standing_.reset();
}

void Walk::keep() {
    if (standing_ && !borrows_) {
        table_.slot(*standing_).walker.store(0, std::memory_order_relaxed);
    }
    standing_.reset();
}

void IkeSaTable::giveUpWalks(std::uint64_t thread) {
    const std::lock_guard lock(walksMutex_);
    for (Walk* walk : walks_) {
        // What its thread has checked out as well stays: that is the caller's own business, with charon's manager too.
        if (walk->thread_.load(std::memory_order_relaxed) == thread && walk->standing_ && !walk->borrows_ &&
            slot(*walk->standing_).borrowed == 0) {
            walk->leave();
        }
    }
}

void IkeSaTable::forgetWalks(Place place) {
    const std::lock_guard lock(walksMutex_);
    for (Walk* walk : walks_) {
        if (walk->thread_.load(std::memory_order_relaxed) == thisThread() && walk->standing_ == place) {
            walk->standing_.reset();
        }
    }
    slot(place).walker.store(0, std::memory_order_relaxed);
}

std::uint64_t IkeSaTable::bytes() const {
    return slots_.used() * sizeof(IkeSaSlot) + bySpi_.bytes() + byUniqueId_.bytes() + byPeers_.bytes() +
           halfOpen_.bytes() + inits_.bytes();
}

}  // namespace ivo
