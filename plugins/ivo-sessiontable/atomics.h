// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdint>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ivo {

/// What the lock-free classes are made of. They take it as a template parameter, so that the model checker can run the
/// very same code with atomics that hand control to another thread at each access.
struct RealAtomics {
    template <typename T>
    using Atomic = std::atomic<T>;

    /// Sleep while the lower half of the word is `expected`, until wake() with a common bit. May return early.
    /// A plain system call, no cancellation point: charon's workers are cancelled only where they expect it.
    static void wait(std::atomic<std::uint64_t>& word, std::uint32_t expected, std::uint32_t bits) {
        syscall(SYS_futex, lowerHalf(word), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, nullptr, nullptr, bits);
    }

    /// Wake all that sleep on the word with one of these bits.
    static void wake(std::atomic<std::uint64_t>& word, std::uint32_t bits) {
        syscall(SYS_futex, lowerHalf(word), FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, bits);
    }

private:
    static std::uint32_t* lowerHalf(std::atomic<std::uint64_t>& word) {
        static_assert(std::endian::native == std::endian::little, "the lower half of a word is elsewhere");
        return reinterpret_cast<std::uint32_t*>(&word);
    }
};

}  // namespace ivo
