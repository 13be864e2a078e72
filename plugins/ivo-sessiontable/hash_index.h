// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include <sys/mman.h>

#include "atomics.h"
#include "slab.h"

namespace ivo {

/// From 32 bits of a key's hash to the places of the objects that may have that key. A multimap: several places may
/// stand under one hash, and the caller compares keys itself. Lock-free, for any number of threads.
///
/// Structure. An array of buckets, each one cache line: seven entries, and a link to a further bucket for when they
/// are full. An entry is one word, (hash, place + 1); order within a bucket means nothing, so inserting is one
/// compare-and-swap of an empty word and removing is one of a full word, and neither ever leaves something behind. A
/// look-up reads the bucket's line.
///
/// Growth. When there are four entries to a bucket, an array of twice the size takes the place of the current one,
/// which it names as `previous`. Each insertion and removal then moves four buckets over. A look-up reads the previous
/// array first and the current one after it. No thread ever waits for another's move. Arrays that were left stay mapped
/// until the index is destroyed, as readers may still be in them, but their pages go back to the system: all of them
/// together span as much address space as the current one.
///
/// Entries that share all 32 bits of the hash lengthen one chain: it costs a cache line for seven of them.
template <typename Policy>
class BasicHashIndex {
    template <typename T>
    using Atomic = typename Policy::template Atomic<T>;

public:
    using Hash = std::uint32_t;

    BasicHashIndex() : BasicHashIndex(kFirstBuckets) {}

    /// @param buckets  to begin with, a power of two
    explicit BasicHashIndex(std::uint64_t buckets) {
        current_.store(makeArray(buckets, nullptr), std::memory_order_relaxed);
        if (!current_.load(std::memory_order_relaxed)) {
            throw std::bad_alloc();
        }
    }
    BasicHashIndex(const BasicHashIndex&) = delete;
    BasicHashIndex& operator=(const BasicHashIndex&) = delete;

    ~BasicHashIndex() {
        for (Array* array = newest_.load(std::memory_order_relaxed); array;) {
            Array* older = array->older;
            munmap(array->buckets, array->bytes());
            delete array;
            array = older;
        }
    }

    /// Add an entry; what the place holds was written before. False when out of memory: nothing was added.
    bool insert(Hash hash, Place place) {
        const std::uint64_t entry = pack(hash, place);
        for (;;) {
            Array* array = current_.load(std::memory_order_acquire);
            help(*array);
            const Put put = putInto(*array, entry);
            if (put == Put::noMemory) {
                return false;
            }
            if (put == Put::done) {
                // An array whose entries have all moved on is given back and reads as empty, so a thread that slept
                // since it read current_ may put an entry where nobody looks. seq_cst: the swap of the word and this
                // load may not change places; growth publishes the new array before any word of the old one is
                // moved, and all words before the old array is given back.
                if (current_.load(std::memory_order_seq_cst) == array || !takeFrom(*array, entry)) {
                    break;
                }
                continue;
            }
        }
        const std::uint64_t count = count_.fetch_add(1, std::memory_order_relaxed) + 1;
        growFor(count);
        return true;
    }

    /// Remove one entry. False if there is none.
    bool remove(Hash hash, Place place) {
        const std::uint64_t entry = pack(hash, place);
        for (;;) {
            Array* array = current_.load(std::memory_order_acquire);
            help(*array);
            // The previous array first, as in find(): what is not there any more is in the current one already. If its
            // mover has made the copy but not yet emptied the word that we empty here, it removes the copy itself.
            Array* previous = array->previous.load(std::memory_order_acquire);
            if ((previous && takeFrom(*previous, entry)) || takeFrom(*array, entry)) {
                count_.fetch_sub(1, std::memory_order_relaxed);
                return true;
            }
            if (current_.load(std::memory_order_seq_cst) == array) {
                return false;
            }
        }
    }

    /// Visit the places under a hash until `visit(place)` returns true. May visit one twice, or one that is being
    /// inserted or removed right now; one that was inserted before and is not removed is visited.
    /// @return  whether a visit returned true
    template <typename Visit>
    bool find(Hash hash, Visit visit) const {
        for (;;) {
            const Array* array = current_.load(std::memory_order_acquire);
            // An entry moves by appearing in the current array and then going from the previous one, so it is seen in
            // one of them if they are read in this order.
            const Array* previous = array->previous.load(std::memory_order_acquire);
            if (previous && findIn(*previous, hash, visit)) {
                return true;
            }
            if (findIn(*array, hash, visit)) {
                return true;
            }
            // While we read, growth may have moved the entry on to a third array. The loads of the words were acquire,
            // so this one comes after them.
            if (current_.load(std::memory_order_acquire) == array) {
                return false;
            }
        }
    }

    std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
    std::uint64_t buckets() const { return current_.load(std::memory_order_acquire)->mask + 1; }
    std::uint64_t chained() const { return chains_.used(); }

    /// Bytes of memory in use; pages that were given back are not counted.
    std::uint64_t bytes() const {
        std::uint64_t sum = chained() * sizeof(Bucket);
        const Array* array = current_.load(std::memory_order_acquire);
        sum += array->bytes();
        if (const Array* previous = array->previous.load(std::memory_order_acquire)) {
            sum += previous->bytes();
        }
        return sum;
    }

private:
    static constexpr std::uint64_t kFirstBuckets = 64;
    static constexpr std::uint64_t kMostBuckets = std::uint64_t{1} << 28;
    static constexpr std::uint64_t kEntriesABucket = 4;
    static constexpr unsigned kMovesAtOnce = 4;
    static constexpr std::size_t kEntries = 7;

    /// Word of a bucket whose entries move to the next array: nothing may be put there any more.
    static constexpr std::uint64_t kClosed = 0xffffffff;

    struct alignas(64) Bucket {
        std::array<Atomic<std::uint64_t>, kEntries> entries;
        /// Place + 1 of the next bucket of the chain in chains_, or kClosed.
        Atomic<std::uint64_t> link;
    };
    static_assert(sizeof(Bucket) == 64 || !std::is_same_v<Policy, RealAtomics>);

    struct ChainedBucket {
        Bucket bucket;
        std::atomic<Place> nextFree;
    };

    struct Array {
        Bucket* buckets = nullptr;
        std::uint64_t mask = 0;
        /// Where the entries come from, while they do.
        Atomic<Array*> previous{nullptr};
        /// Buckets of the previous array that were given to somebody to move; and that were moved.
        Atomic<std::uint64_t> claimed{0};
        Atomic<std::uint64_t> moved{0};
        /// All arrays ever made, newest first.
        Array* older = nullptr;

        std::uint64_t bytes() const { return (mask + 1) * sizeof(Bucket); }
    };

    enum class Put { done, closed, noMemory };

    static std::uint64_t pack(Hash hash, Place place) { return (std::uint64_t{hash} << 32) | (place + 1); }
    static bool isEntry(std::uint64_t word) { return word != 0 && word != kClosed; }

    static Bucket& bucketOf(const Array& array, std::uint64_t entry) {
        return array.buckets[(entry >> 32) & array.mask];
    }

    Array* makeArray(std::uint64_t buckets, Array* previous) {
        auto array = std::unique_ptr<Array>(new (std::nothrow) Array);
        if (!array) {
            return nullptr;
        }
        array->mask = buckets - 1;
        // Fresh pages are zero: no entry. Nobody has to wait for them to be cleared.
        void* memory = mmap(nullptr, array->bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return nullptr;
        }
        array->buckets = static_cast<Bucket*>(memory);
        array->previous.store(previous, std::memory_order_relaxed);
        if (!previous) {
            newest_.store(array.get(), std::memory_order_relaxed);
        }
        return array.release();
    }

    /// The next bucket of a chain, nullptr at its end.
    Bucket* next(const Bucket& bucket) const {
        // acquire: pairs with the publication of the chained bucket.
        const std::uint64_t link = bucket.link.load(std::memory_order_acquire);
        return isEntry(link) ? &chains_[static_cast<Place>(link) - 1].bucket : nullptr;
    }

    template <typename Visit>
    bool findIn(const Array& array, Hash hash, Visit& visit) const {
        const Bucket* bucket = &bucketOf(array, pack(hash, 0));
        do {
            for (const auto& word : bucket->entries) {
                // acquire: pairs with the release of the insertion, so that the visitor sees what the place holds; and
                // a closed word, with its mover, so that the copy in the next array is seen afterwards.
                const std::uint64_t entry = word.load(std::memory_order_acquire);
                if (entry >> 32 == hash && isEntry(entry) && visit(static_cast<Place>(entry) - 1)) {
                    return true;
                }
            }
            bucket = next(*bucket);
        } while (bucket);
        return false;
    }

    Put putInto(Array& array, std::uint64_t entry) {
        Bucket* bucket = &bucketOf(array, entry);
        return putInto(bucket, entry);
    }

    /// Put an entry into a chain from this bucket on; `bucket` is then where it went.
    Put putInto(Bucket*& bucket, std::uint64_t entry) {
        for (;;) {
            for (auto& word : bucket->entries) {
                std::uint64_t found = word.load(std::memory_order_relaxed);
                if (found == kClosed) {
                    return Put::closed;
                }
                // seq_cst: see insert(). It is a release too: what the place holds is published with the entry.
                if (found == 0 && word.compare_exchange_strong(found, entry, std::memory_order_seq_cst)) {
                    return Put::done;
                }
                if (found == kClosed) {
                    return Put::closed;
                }
            }
            const std::uint64_t link = bucket->link.load(std::memory_order_acquire);
            if (link == kClosed) {
                return Put::closed;
            }
            if (link != 0) {
                bucket = &chains_[static_cast<Place>(link) - 1].bucket;
                continue;
            }
            switch (const Put put = lengthen(*bucket, entry)) {
                case Put::done:
                case Put::noMemory:
                    return put;
                case Put::closed:  // another thread lengthened it, or closed it: look again
                    break;
            }
        }
    }

    /// Chain a further bucket that already holds the entry. Put::closed if the link is set meanwhile.
    Put lengthen(Bucket& bucket, std::uint64_t entry) {
        const std::optional<Place> place = chains_.take();
        if (!place) {
            return Put::noMemory;
        }
        // A bucket that comes back from a thread that lost the race here was never seen by anybody else.
        Bucket& fresh = chains_[*place].bucket;
        fresh.entries[0].store(entry, std::memory_order_relaxed);
        std::uint64_t none = 0;
        // release (by seq_cst): pairs with next().
        if (bucket.link.compare_exchange_strong(none, std::uint64_t{*place} + 1, std::memory_order_seq_cst)) {
            return Put::done;
        }
        fresh.entries[0].store(0, std::memory_order_relaxed);
        chains_.release(*place);
        return Put::closed;
    }

    bool takeFrom(Array& array, std::uint64_t entry) {
        Bucket* bucket = &bucketOf(array, entry);
        do {
            for (auto& word : bucket->entries) {
                std::uint64_t found = word.load(std::memory_order_acquire);
                if (found == entry && word.compare_exchange_strong(found, 0, std::memory_order_seq_cst)) {
                    return true;
                }
            }
            bucket = next(*bucket);
        } while (bucket);
        return false;
    }

    /// Begin to grow if it is time. Any thread may; the others go on with the current array.
    void growFor(std::uint64_t count) {
        Array* array = current_.load(std::memory_order_acquire);
        const std::uint64_t buckets = array->mask + 1;
        if (count <= buckets * kEntriesABucket || buckets >= kMostBuckets ||
            array->previous.load(std::memory_order_acquire)) {
            return;
        }
        // One thread makes the array: others would only map memory to unmap it again. They do not wait.
        if (growing_.exchange(true, std::memory_order_acquire)) {
            return;
        }
        if (current_.load(std::memory_order_acquire) == array && !array->previous.load(std::memory_order_acquire)) {
            if (Array* next = makeArray(buckets * 2, array)) {
                next->older = newest_.load(std::memory_order_relaxed);
                newest_.store(next, std::memory_order_relaxed);
                current_.store(next, std::memory_order_seq_cst);
            }
            // Without memory the chains get longer, and a later insertion tries again.
        }
        growing_.store(false, std::memory_order_release);
    }

    /// Move a few buckets, if there are any to move.
    void help(Array& array) {
        Array* previous = array.previous.load(std::memory_order_acquire);
        if (!previous) {
            return;
        }
        const std::uint64_t buckets = previous->mask + 1;
        if (array.claimed.load(std::memory_order_relaxed) >= buckets) {
            return;
        }
        const std::uint64_t first = array.claimed.fetch_add(kMovesAtOnce, std::memory_order_relaxed);
        const std::uint64_t end = std::min(first + kMovesAtOnce, buckets);
        std::uint64_t done = 0;
        for (std::uint64_t i = first; i < end; i++) {
            done += move(previous->buckets[i], array);
        }
        // acq_rel: who moves the last bucket sees all moves of the others before it gives the array back.
        if (done > 0 && array.moved.fetch_add(done, std::memory_order_acq_rel) + done == buckets) {
            array.previous.store(nullptr, std::memory_order_release);
            giveBack(*previous);
        }
    }

    /// Close all words of a bucket's chain, so that no entry gets in any more, and copy each entry before its word
    /// closes. False when out of memory: the array then stays `previous` for good, which costs time, and no entry.
    bool move(Bucket& from, Array& to) {
        std::array<Bucket*, 2> hints{};
        for (Bucket* bucket = &from; bucket;) {
            for (auto& word : bucket->entries) {
                std::uint64_t found = word.load(std::memory_order_acquire);
                while (found != kClosed) {
                    const std::uint64_t entry = found;
                    if (entry != 0 && !copy(entry, to, hints)) {
                        return false;
                    }
                    // seq_cst: see insert(); release for find(), which reads the copy after it read that this closed.
                    if (word.compare_exchange_strong(found, kClosed, std::memory_order_seq_cst)) {
                        break;
                    }
                    if (entry != 0) {
                        // Removed meanwhile: the copy goes, too. If somebody put the same entry into the new array
                        // since, one of two equal words goes, whichever.
                        takeFrom(to, entry);
                    }
                }
            }
            std::uint64_t link = 0;
            if (bucket->link.compare_exchange_strong(link, kClosed, std::memory_order_seq_cst)) {
                return true;
            }
            bucket = isEntry(link) ? &chains_[static_cast<Place>(link) - 1].bucket : nullptr;
        }
        return true;
    }

    /// A bucket's entries go to two buckets of an array twice the size. Begin where the last one found room, so that a
    /// long chain does not cost its square.
    bool copy(std::uint64_t entry, Array& to, std::array<Bucket*, 2>& hints) {
        Bucket*& hint = hints[((entry >> 32) & to.mask) > to.mask / 2];
        if (!hint) {
            hint = &bucketOf(to, entry);
        }
        return putInto(hint, entry) == Put::done;
    }

    void giveBack(Array& array) {
        if (array.bytes() >= kPage) {
            madvise(array.buckets, array.bytes(), MADV_DONTNEED);
        }
    }

    static constexpr std::uint64_t kPage = 4096;

    Atomic<Array*> current_{nullptr};
    alignas(64) Atomic<std::uint64_t> count_{0};
    alignas(64) std::atomic<bool> growing_{false};
    /// Changed by the thread that grows.
    std::atomic<Array*> newest_{nullptr};
    Slab<ChainedBucket> chains_;
};

using HashIndex = BasicHashIndex<RealAtomics>;

}  // namespace ivo
