// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/keyed_hash.h>

#include <array>
#include <numeric>
#include <vector>

#include <CppUTest/TestHarness.h>

namespace {

/// The key and the messages of the reference implementation's test vectors: bytes that count up.
const ivo::KeyedHash reference({0x0706050403020100u, 0x0f0e0d0c0b0a0908u});

std::vector<std::uint8_t> counting(std::size_t length) {
    std::vector<std::uint8_t> bytes(length);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
    return bytes;
}

}  // namespace

TEST_GROUP(KeyedHash){};

TEST(KeyedHash, isSipHash24) {
    CHECK(reference.bytes(counting(0)) == 0x726fdb47dd0e0e31u);
    CHECK(reference.bytes(counting(15)) == 0xa129ca6149be45e5u);
}

TEST(KeyedHash, aWordIsItsEightBytes) {
    CHECK(reference.word(0x0706050403020100u) == reference.bytes(counting(8)));
}

TEST(KeyedHash, aDigestIsSipHash128) {
    const auto digest = reference.digest({});
    CHECK(digest.low == 0xe6a825ba047f81a3u);
    CHECK(digest.high == 0x930255c71472f66du);
}

TEST(KeyedHash, piecesMakeOneMessage) {
    const auto all = counting(29);
    const std::span<const std::uint8_t> bytes(all);
    const auto whole = reference.digest({bytes});
    for (std::size_t cut = 0; cut <= all.size(); cut++) {
        for (std::size_t second = cut; second <= all.size(); second++) {
            CHECK(reference.digest({bytes.first(cut), bytes.subspan(cut, second - cut), bytes.subspan(second)}) ==
                  whole);
        }
    }
}

TEST(KeyedHash, twoKeysAreDrawnDifferently) {
    CHECK(ivo::KeyedHash().word(1) != ivo::KeyedHash().word(1));
}
