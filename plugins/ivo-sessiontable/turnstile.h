// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "atomics.h"

namespace ivo {

/// Number of lives that a slot had before this one. Whoever holds on to a slot without having it checked out keeps the
/// generation with it.
enum class Generation : std::uint32_t {};

/// Who may use one IKE_SA: at most one thread at a time, others in the order in which they came, until the SA goes.
///
/// One word holds all of it, and all changes are one compare-and-swap each:
///
///     63        32  31     30        29     15  14       0
///     generation    alive  driveout  next       serving
///
/// `next` and `serving` are the two numbers of a ticket lock: a thread takes the number `next` and holds the SA when
/// `serving` comes to it. Equal numbers mean that nobody holds it. Because each thread has a number, a release wakes
/// the one whose turn it is and nobody can be passed. Once `driveout` is set no number is given out, and those who wait
/// put theirs back, in any order, by lowering `next`: from then on only the difference, how many there are, means
/// anything.
///
/// No access is weaker than acquire or release: taking a turn acquires what the last holder released. The uncontended
/// checkout and checkin are one compare-and-swap each.
template <typename Policy>
class BasicTurnstile {
public:
    enum class Result {
        mine,  ///< the caller has it now
        busy,  ///< another one has it, and the caller did not want to wait, or too many do
        gone,  ///< it is going: nobody gets it any more
        over,  ///< it is of another generation: look it up again
    };

    /// Waiting threads that a slot has room for; further ones are told that it is busy. charon has some tens of
    /// threads.
    static constexpr std::uint32_t kMostWaiting = (1u << 14) - 1;

    bool alive() const { return word_.load(std::memory_order_acquire) & kAlive; }

    Generation generation() const { return generationOf(word_.load(std::memory_order_acquire)); }

    /// Generation if alive and not going, for a checkout that follows.
    bool open(Generation& generation) const {
        const std::uint64_t word = word_.load(std::memory_order_acquire);
        generation = generationOf(word);
        return (word & (kAlive | kDriveout)) == kAlive;
    }

    bool held() const {
        const std::uint64_t word = word_.load(std::memory_order_acquire);
        return people(word) != 0;
    }

    /// Threads that wait, not counting the holder.
    std::uint32_t waiting() const {
        const std::uint32_t people = this->people(word_.load(std::memory_order_acquire));
        return people > 0 ? people - 1 : 0;
    }

    /// Begin a life, held by the caller or by nobody. Only for the owner of a slot that is not alive.
    Generation begin(bool held) {
        const std::uint64_t word = word_.load(std::memory_order_relaxed);
        // release: who finds it alive sees what the slot holds.
        word_.store((word & kGenerationMask) | kAlive | (held ? kNextOne : 0), std::memory_order_release);
        return generationOf(word);
    }

    /// End it. Only for the holder, after driveOut() and waitAlone(), or when nobody could know the slot yet.
    void end() {
        const std::uint64_t word = word_.load(std::memory_order_relaxed);
        word_.store((word & kGenerationMask) + kGenerationOne, std::memory_order_release);
        // flush() may wait for it to become idle.
        Policy::wake(word_, kOwnerBit);
    }

    Result tryTake(Generation generation) {
        std::uint64_t word = word_.load(std::memory_order_acquire);
        for (;;) {
            if (!fits(word, generation)) {
                return misfit(word, generation);
            }
            if (people(word) != 0) {
                return Result::busy;
            }
            if (word_.compare_exchange_weak(word, withNext(word, 1), std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                return Result::mine;
            }
        }
    }

    /// Take a turn, waiting for it.
    ///
    /// @param most         threads that may wait already without making it busy
    /// @param beforeWait   called once if it has to wait, before it does
    template <typename BeforeWait>
    Result take(Generation generation, std::uint32_t most, BeforeWait beforeWait) {
        std::uint64_t word = word_.load(std::memory_order_acquire);
        do {
            if (!fits(word, generation)) {
                return misfit(word, generation);
            }
            if (people(word) > most) {
                return Result::busy;
            }
        } while (!word_.compare_exchange_weak(word, withNext(word, 1), std::memory_order_acq_rel,
                                              std::memory_order_acquire));
        if (people(word) == 0) {
            return Result::mine;
        }
        beforeWait();
        return waitFor(nextOf(word)) ? Result::mine : Result::gone;
    }

    /// Let the next one have it.
    void leave() {
        std::uint64_t word = word_.load(std::memory_order_relaxed);
        std::uint64_t left;
        do {
            left = (word & ~kServingMask) | ((word + 1) & kServingMask);
            // release: pairs with the acquire of whoever takes the turn.
        } while (!word_.compare_exchange_weak(word, left, std::memory_order_release, std::memory_order_relaxed));
        if (left & kDriveout) {
            Policy::wake(word_, kEverybody);
        } else if (people(left) != 0) {
            Policy::wake(word_, bitOf(servingOf(left)));
        }
    }

    /// Give nobody a turn any more. True if this call is what began it.
    bool driveOut() {
        const std::uint64_t word = word_.fetch_or(kDriveout, std::memory_order_acq_rel);
        if (people(word) > 1) {
            Policy::wake(word_, kEverybody);
        }
        return !(word & kDriveout);
    }

    /// The same by somebody who does not hold it.
    void driveOut(Generation generation) {
        std::uint64_t word = word_.load(std::memory_order_acquire);
        while (fits(word, generation)) {
            if (word_.compare_exchange_weak(word, word | kDriveout, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                Policy::wake(word_, kEverybody);
                return;
            }
        }
    }

    /// The holder waits, after driveOut(), until those who waited have left.
    void waitAlone() {
        std::uint64_t word;
        while (people(word = word_.load(std::memory_order_acquire)) > 1) {
            Policy::wait(word_, static_cast<std::uint32_t>(word), kOwnerBit);
        }
    }

    /// After driveOut(generation): wait until nobody has it, and take it. False if its life ended meanwhile.
    bool takeIdle(Generation generation) {
        std::uint64_t word = word_.load(std::memory_order_acquire);
        for (;;) {
            if (!(word & kAlive) || generationOf(word) != generation) {
                return false;
            }
            if (people(word) != 0) {
                Policy::wait(word_, static_cast<std::uint32_t>(word), kOwnerBit);
                word = word_.load(std::memory_order_acquire);
            } else if (word_.compare_exchange_weak(word, withNext(word, 1), std::memory_order_acq_rel,
                                                   std::memory_order_acquire)) {
                return true;
            }
        }
    }

private:
    static constexpr unsigned kNumberBits = 15;
    static constexpr std::uint64_t kServingMask = (1u << kNumberBits) - 1;
    static constexpr std::uint64_t kNextOne = std::uint64_t{1} << kNumberBits;
    static constexpr std::uint64_t kNextMask = kServingMask << kNumberBits;
    static constexpr std::uint64_t kDriveout = std::uint64_t{1} << 30;
    static constexpr std::uint64_t kAlive = std::uint64_t{1} << 31;
    static constexpr std::uint64_t kGenerationOne = std::uint64_t{1} << 32;
    static constexpr std::uint64_t kGenerationMask = ~std::uint64_t{0} << 32;

    /// Sleepers are woken by bits: those who wait for a number by one of 31, which few share, and the one who wants the
    /// others to be gone by the last.
    static constexpr std::uint32_t kOwnerBit = 1u << 31;
    static constexpr std::uint32_t kEverybody = ~0u;
    static std::uint32_t bitOf(std::uint32_t number) { return 1u << (number % 31); }

    static Generation generationOf(std::uint64_t word) { return static_cast<Generation>(word >> 32); }
    static std::uint32_t servingOf(std::uint64_t word) { return static_cast<std::uint32_t>(word & kServingMask); }
    static std::uint32_t nextOf(std::uint64_t word) {
        return static_cast<std::uint32_t>((word & kNextMask) >> kNumberBits);
    }
    /// The holder and those who wait.
    static std::uint32_t people(std::uint64_t word) {
        return (nextOf(word) - servingOf(word)) & static_cast<std::uint32_t>(kServingMask);
    }
    static std::uint64_t withNext(std::uint64_t word, int change) {
        const std::uint64_t next = (word + (change > 0 ? kNextOne : kNextMask)) & kNextMask;
        return (word & ~kNextMask) | next;
    }
    static bool fits(std::uint64_t word, Generation generation) {
        return (word & (kAlive | kDriveout)) == kAlive && generationOf(word) == generation;
    }

    static Result misfit(std::uint64_t word, Generation generation) {
        return (word & kAlive) && generationOf(word) == generation ? Result::gone : Result::over;
    }

    /// While we have a number the slot's life cannot end: end() comes after waitAlone().
    bool waitFor(std::uint32_t number) {
        for (;;) {
            std::uint64_t word = word_.load(std::memory_order_acquire);
            if (word & kDriveout) {
                while (!word_.compare_exchange_weak(word, withNext(word, -1), std::memory_order_acq_rel,
                                                    std::memory_order_acquire)) {
                }
                // Only the owner may have been waiting for this: the others see `driveout` by themselves.
                Policy::wake(word_, kOwnerBit);
                return false;
            }
            if (servingOf(word) == number) {
                return true;
            }
            Policy::wait(word_, static_cast<std::uint32_t>(word), bitOf(number));
        }
    }

    typename Policy::template Atomic<std::uint64_t> word_;
};

using Turnstile = BasicTurnstile<RealAtomics>;

}  // namespace ivo
