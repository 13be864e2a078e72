// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/sessiontable.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "address.h"
#include "common/counter.h"
#include "half_open.h"
#include "hash_index.h"
#include "init_messages.h"
#include "keyed_hash.h"
#include "slab.h"
#include "turnstile.h"

namespace ivo {

class IkeSaTable;

/// What the table holds for one IKE_SA: two cache lines. A look-up reads the first only.
struct alignas(64) IkeSaSlot {
    Turnstile turn;

    // Changed by the holder, read by look-ups. Each is a word of its own: a look-up that meets a change sees the old or
    // the new of each, and the SA then had, or was about to have, the ID that was asked for.
    std::atomic<std::uint64_t> initiatorSpi;
    std::atomic<std::uint64_t> responderSpi;
    std::atomic<void*> sa;
    /// Order of registration: of equal IDs the last one counts.
    std::atomic<std::uint64_t> order;
    std::atomic<std::uint32_t> uniqueId;
    /// Message that the holder processes, kNoMessage if none.
    std::atomic<std::uint32_t> processing;
    /// Thread of the walk that stands on it, 0 if none does.
    std::atomic<std::uint64_t> walker;
    std::atomic<std::uint8_t> version;
    std::atomic<bool> initiator;
    std::atomic<bool> hasPeers;
    std::atomic<std::uint8_t> family;
    std::atomic<Place> nextFree;

    // The second line. Identities and the order in which SAs became known by them are read by look-ups, too.
    std::atomic<std::uint64_t> peersLow;
    std::atomic<std::uint64_t> peersHigh;
    std::atomic<std::uint64_t> peersOrder;
    /// When the first one of those between the same identities in the same address family became known.
    std::atomic<std::uint64_t> peersSince;

    // The holder's only.
    Address other;
    bool halfOpen;
    bool hasInit;
    /// Checkouts by the thread whose walk stands on it.
    std::uint8_t borrowed;
    Place init;
    HashIndex::Hash spiHash;
};
static_assert(sizeof(IkeSaSlot) == 128);

/// An IKE_SA that the calling thread has checked out. It goes back when this goes, unless it was handed on.
class CheckedOut {
public:
    CheckedOut() = default;
    CheckedOut(IkeSaTable& table, Place place) : table_(&table), place_(place) {}
    CheckedOut(CheckedOut&& other) noexcept : table_(std::exchange(other.table_, nullptr)), place_(other.place_) {}
    CheckedOut& operator=(CheckedOut&& other) noexcept {
        std::swap(table_, other.table_);
        std::swap(place_, other.place_);
        return *this;
    }
    inline ~CheckedOut();

    explicit operator bool() const { return table_ != nullptr; }
    Place place() const { return place_; }

    /// charon has it from here on, by its pointer, and checks it in.
    inline void* handOver();

private:
    IkeSaTable* table_ = nullptr;
    Place place_ = 0;
};

/// A position in the table, see ivo_sessiontable_walk().
class Walk {
public:
    Walk(IkeSaTable& table, bool wait, bool newestFirst);
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;
    ~Walk();

    void* next();
    void keep();

private:
    friend class IkeSaTable;

    std::optional<std::pair<Place, Generation>> candidate();
    void leave();

    IkeSaTable& table_;
    const bool wait_;
    const bool newestFirst_;
    /// Whose walk it is: whoever called next() last.
    std::atomic<std::uint64_t> thread_{0};
    /// Where it goes on, in collected_ or in the slab.
    std::size_t at_ = 0;
    std::vector<std::pair<Place, Generation>> collected_;
    /// What it stands on.
    std::optional<Place> standing_;
    /// It stands on what an outer walk of the same thread has.
    bool borrows_ = false;
};

/// The IKE_SAs of the daemon: who may use which, and by what each is found. See <ivo/sessiontable.h> for the contract.
///
/// No look-up takes a lock. A thread waits only for the SA that it wants, and only while another thread has it.
class IkeSaTable {
public:
    IkeSaTable();
    IkeSaTable(const IkeSaTable&) = delete;
    IkeSaTable& operator=(const IkeSaTable&) = delete;

    void attach(const ivo_charon_t& charon, const ivo_sessiontable_settings_t& settings);

    CheckedOut checkout(const ivo_ike_id_t& id, ivo_checkout_t& how);
    CheckedOut checkout(std::uint32_t uniqueId);
    CheckedOut checkout(const ivo_ike_message_t& message, ivo_checkout_t& how);
    ivo_init_t initOf(const ivo_ike_message_t& message) const;

    bool add(void* sa);
    bool has(void* sa) const { return find(sa).has_value(); }
    bool update(void* sa, bool& wantsPeers);
    void setPeers(void* sa, const ivo_peers_t& peers);
    void release(void* sa);
    ivo_destroyed_t destroy(void* sa);
    ivo_checkout_t changeSpi(void* sa, std::uint64_t spi);

    bool hasContact(const ivo_peers_t& peers, std::uint8_t family) const;
    std::vector<ivo_ike_id_t> idsBetween(const ivo_peers_t& peers, std::uint8_t family) const;

    std::uint32_t count() const { return static_cast<std::uint32_t>(count_.load(std::memory_order_relaxed)); }

    HalfOpen& halfOpen() { return halfOpen_; }
    const HalfOpen& halfOpen() const { return halfOpen_; }

    void flush();
    void clear();

    /// IKE_SAs registered so far.
    std::uint64_t registered() const { return registered_.value(); }
    /// Messages for which nobody waited because too many did.
    std::uint64_t refused() const { return refused_.value(); }
    /// Bytes of memory of the whole table.
    std::uint64_t bytes() const;

private:
    friend class CheckedOut;
    friend class Walk;

    static constexpr std::uint32_t kNoMessage = ~0u;

    using Found = std::pair<Place, Generation>;
    using Result = Turnstile::Result;

    IkeSaSlot& slot(Place place) const { return slots_[place]; }
    HashIndex::Hash hashOf(std::uint64_t word) const { return static_cast<HashIndex::Hash>(hash_.word(word)); }
    HashIndex::Hash hashOf(const ivo_ike_id_t& id) const;
    Digest digestOf(const ivo_peers_t& peers) const;
    Digest digestOf(const ivo_ike_message_t& message) const;

    static bool matches(const IkeSaSlot& slot, const ivo_ike_id_t& id);
    static bool between(const IkeSaSlot& slot, const Digest& peers, std::uint8_t family);
    static ivo_ike_id_t idOf(const IkeSaSlot& slot);

    std::optional<Found> find(const ivo_ike_id_t& id) const;
    std::optional<Found> find(std::uint32_t uniqueId) const;
    /// The slot of an SA that the caller has.
    std::optional<Place> find(void* sa) const;

    Result take(Place place, Generation generation, bool wait, std::uint32_t most);
    CheckedOut create(const ivo_ike_message_t& message, ivo_ike_id_t id, const InitMessages::Noted& noted,
                      ivo_checkout_t& how);

    /// Take a slot for an SA and make it known by ID and unique ID, held by the caller.
    /// @param fill  sets what else the slot holds from the beginning
    template <typename Fill>
    std::optional<Place> enter(void* sa, const ivo_ike_sa_t& description, Fill fill);
    void setId(IkeSaSlot& slot, Place place, const ivo_ike_id_t& id);
    void setHalfOpen(IkeSaSlot& slot, const ivo_ike_sa_t& description);
    void forgetHalfOpen(IkeSaSlot& slot);

    void leave(Place place);
    /// The holder takes its SA, which nobody waits for any more, out of everything. Returns it.
    void* drop(Place place);

    void giveUpWalks(std::uint64_t thread);
    void forgetWalks(Place place);

    static std::uint64_t thisThread();

    /// Where this thread took a turn last: a hint that is checked before use. Nothing to tear down with the thread.
    struct Last {
        const IkeSaTable* table;
        Place place;
    };
    static thread_local Last last_;

    const ivo_charon_t* charon_ = nullptr;
    ivo_sessiontable_settings_t settings_{};

    KeyedHash hash_;
    Slab<IkeSaSlot> slots_;
    HashIndex bySpi_;
    HashIndex byUniqueId_;
    HashIndex byPeers_;
    HalfOpen halfOpen_{hash_};
    InitMessages inits_{hash_};

    alignas(64) std::atomic<std::uint64_t> count_{0};
    alignas(64) std::atomic<std::uint64_t> order_{1};
    /// flush() has begun: what comes in now is driven out at once.
    alignas(64) std::atomic<bool> draining_{false};

    /// Walks under way. Only walks themselves, and threads that have to wait for an SA while there are any, lock this.
    std::atomic<std::uint32_t> walking_{0};
    std::mutex walksMutex_;
    std::vector<Walk*> walks_;

    Counter registered_;
    Counter refused_;
};

inline CheckedOut::~CheckedOut() {
    if (table_) {
        table_->leave(place_);
    }
}

inline void* CheckedOut::handOver() {
    return table_ ? std::exchange(table_, nullptr)->slot(place_).sa.load(std::memory_order_relaxed) : nullptr;
}

}  // namespace ivo
