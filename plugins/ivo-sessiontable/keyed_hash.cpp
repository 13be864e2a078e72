// SPDX-License-Identifier: GPL-2.0-or-later
#include "keyed_hash.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace ivo {

namespace {

/// The state of SipHash and its round.
struct Sip {
    std::uint64_t v0, v1, v2, v3;
    std::uint64_t length = 0;
    std::uint64_t word = 0;
    unsigned kept = 0;

    explicit Sip(const std::array<std::uint64_t, 2>& key)
        : v0(key[0] ^ 0x736f6d6570736575u),
          v1(key[1] ^ 0x646f72616e646f6du),
          v2(key[0] ^ 0x6c7967656e657261u),
          v3(key[1] ^ 0x7465646279746573u) {}

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }

    void absorb(std::uint64_t word) {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    }

    /// Pieces may be of any length: what does not fill a word is kept.
    void absorb(std::span<const std::uint8_t> data) {
        length += data.size();
        while (!data.empty()) {
            if (kept == 0 && data.size() >= sizeof(word)) {
                std::memcpy(&word, data.data(), sizeof(word));
                absorb(word);
                data = data.subspan(sizeof(word));
                word = 0;
                continue;
            }
            word |= std::uint64_t{data[0]} << (8 * kept++);
            data = data.subspan(1);
            if (kept == sizeof(word)) {
                absorb(word);
                word = 0;
                kept = 0;
            }
        }
    }

    void pad() { absorb((length << 56) | word); }

    std::uint64_t finish() {
        for (int i = 0; i < 4; i++) {
            round();
        }
        return v0 ^ v1 ^ v2 ^ v3;
    }
};

static_assert(std::endian::native == std::endian::little, "words are read in the machine's order: swap them first");

}  // namespace

KeyedHash::KeyedHash() {
    auto* at = reinterpret_cast<std::uint8_t*>(key_.data());
    std::size_t left = sizeof(key_);
    while (left > 0) {
        const ssize_t got = getrandom(at, left, 0);
        if (got < 0 && errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "getrandom");
        }
        if (got > 0) {
            at += got;
            left -= static_cast<std::size_t>(got);
        }
    }
}

std::uint64_t KeyedHash::word(std::uint64_t value) const {
    Sip sip(key_);
    sip.absorb(value);
    sip.absorb(std::uint64_t{sizeof(value)} << 56);
    sip.v2 ^= 0xff;
    return sip.finish();
}

std::uint64_t KeyedHash::bytes(std::span<const std::uint8_t> data) const {
    Sip sip(key_);
    sip.absorb(data);
    sip.pad();
    sip.v2 ^= 0xff;
    return sip.finish();
}

Digest KeyedHash::digest(std::initializer_list<std::span<const std::uint8_t>> pieces) const {
    Sip sip(key_);
    sip.v1 ^= 0xee;
    for (const auto& piece : pieces) {
        sip.absorb(piece);
    }
    sip.pad();
    sip.v2 ^= 0xee;
    Digest digest;
    digest.low = sip.finish();
    sip.v1 ^= 0xdd;
    digest.high = sip.finish();
    return digest;
}

}  // namespace ivo
