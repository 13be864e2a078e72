// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace ivo {

/// 128 bits that stand for a value too long to keep. With a secret key nobody can make two values that share them, and
/// by chance a million values do so with a probability below 2^-80: equal digests are taken for equal values.
struct Digest {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const Digest&) const = default;
};

/// SipHash-2-4 (Aumasson and Bernstein, 2012) with a key drawn at construction. What a peer chooses (its SPI, identity,
/// address, its first message) goes through this, so that it cannot fill one bucket of a table.
class KeyedHash {
public:
    /// Draws the key from the kernel. Throws std::system_error if it gives none.
    KeyedHash();

    /// With a known key, for tests.
    explicit KeyedHash(const std::array<std::uint64_t, 2>& key) : key_(key) {}

    /// Hash of one word: two rounds of the function for a message of eight bytes, some 10 ns.
    std::uint64_t word(std::uint64_t value) const;

    std::uint64_t bytes(std::span<const std::uint8_t> data) const;

    /// Digest of pieces, one after the other, as if they were one.
    Digest digest(std::initializer_list<std::span<const std::uint8_t>> pieces) const;

private:
    std::array<std::uint64_t, 2> key_;
};

}  // namespace ivo
