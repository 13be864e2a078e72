// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/half_open.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

using ivo::Address;
using ivo::HalfOpen;
using ivo::Role;

namespace {

Address address(std::uint8_t number, bool v6 = false) {
    ivo_address_t plain{};
    plain.length = v6 ? 16 : 4;
    plain.bytes[0] = 10;
    plain.bytes[3] = number;
    return Address(plain);
}

}  // namespace

TEST_GROUP(HalfOpen) {
    ivo::KeyedHash hash{{1, 2}};
    HalfOpen counts{hash};
};

TEST(HalfOpen, countsByAddressAndRole) {
    CHECK(counts.raise(address(1), Role::responder));
    CHECK(counts.raise(address(1), Role::initiator));
    CHECK(counts.raise(address(2), Role::responder));
    LONGS_EQUAL(2, counts.count(address(1), false));
    LONGS_EQUAL(1, counts.count(address(1), true));
    LONGS_EQUAL(3, counts.count(false));
    LONGS_EQUAL(2, counts.count(true));
    LONGS_EQUAL(0, counts.count(address(1, true), false));
}

TEST(HalfOpen, forgetsAnAddressWithoutAny) {
    counts.raise(address(1), Role::responder);
    CHECK(counts.lower(address(1), Role::responder));
    UNSIGNED_LONGS_EQUAL(0, counts.addresses());
    LONGS_EQUAL(0, counts.count(false));
}

TEST(HalfOpen, lowersOnlyWhatWasRaised) {
    counts.raise(address(1), Role::initiator);
    CHECK_FALSE(counts.lower(address(1), Role::responder));
    CHECK_FALSE(counts.lower(address(2), Role::initiator));
    LONGS_EQUAL(1, counts.count(false));
}

TEST(HalfOpen, doesWhatAMapDoes) {
    for (std::uint64_t seed = 1; seed <= 10; seed++) {
        HalfOpen tried(hash);
        std::map<std::pair<int, bool>, int> model;
        std::mt19937_64 random(seed);
        const auto text = "seed " + std::to_string(seed);
        for (int i = 0; i < 10000; i++) {
            const auto number = static_cast<std::uint8_t>(random() % 40);
            const bool initiator = random() % 2;
            const Role role = initiator ? Role::initiator : Role::responder;
            int& count = model[{number, initiator}];
            if (random() % 2) {
                CHECK_TEXT(tried.raise(address(number), role), text.c_str());
                count++;
            } else {
                CHECK_EQUAL_TEXT(count > 0, tried.lower(address(number), role), text.c_str());
                count -= count > 0;
            }
            const int responder = model[std::pair(number, false)], initiated = model[std::pair(number, true)];
            LONGS_EQUAL_TEXT(responder, tried.count(address(number), true), text.c_str());
            LONGS_EQUAL_TEXT(responder + initiated, tried.count(address(number), false), text.c_str());
        }
    }
}

TEST(HalfOpen, losesNoCountOfManyThreads) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; thread++) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5000; i++) {
                counts.raise(address(static_cast<std::uint8_t>(i % 3)), Role::responder);
                counts.lower(address(static_cast<std::uint8_t>(i % 3)), Role::responder);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(0, counts.count(false));
    UNSIGNED_LONGS_EQUAL(0, counts.addresses());
}
