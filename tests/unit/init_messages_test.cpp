// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/init_messages.h>

#include <atomic>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

using ivo::Digest;
using ivo::InitMessages;
using Noted = InitMessages::Noted;

TEST_GROUP(InitMessages) {
    ivo::KeyedHash hash{{1, 2}};
    InitMessages inits{hash};

    Noted note(std::uint64_t number, std::uint64_t spi) {
        return inits.note(Digest{number, number}, [&] { return spi; });
    }
};

TEST(InitMessages, addsANewOneAndRecognisesIt) {
    CHECK(note(1, 77).outcome == Noted::added);
    const auto again = note(1, 88);
    CHECK(again.outcome == Noted::seen);
    CHECK(again.spi == 77);
    CHECK(inits.look(Digest{1, 1}) == 77u);
    CHECK_FALSE(inits.look(Digest{1, 2}).has_value());
}

TEST(InitMessages, asksForNoSpiIfItWasSeen) {
    note(1, 77);
    bool asked = false;
    inits.note(Digest{1, 1}, [&] {
        asked = true;
        return 1u;
    });
    CHECK_FALSE(asked);
}

TEST(InitMessages, keepsNothingWithoutAnSpi) {
    CHECK(note(1, 0).outcome == Noted::noSpi);
    CHECK(note(1, 5).outcome == Noted::added);
}

TEST(InitMessages, forgets) {
    const auto noted = note(1, 77);
    inits.forget(noted.place);
    CHECK_FALSE(inits.look(Digest{1, 1}).has_value());
    CHECK(note(1, 88).outcome == Noted::added);
}

/// Of threads that bring the same message at the same time one adds it, and the others learn its SPI.
TEST(InitMessages, isAddedOnceByManyThreads) {
    constexpr int kThreads = 4, kMessages = 3000;
    std::atomic<int> added{0}, wrong{0};
    std::vector<std::atomic<std::uint64_t>> spis(kMessages);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; thread++) {
        threads.emplace_back([&, thread] {
            for (std::uint64_t i = 0; i < kMessages; i++) {
                const auto noted = note(i, i * kThreads + static_cast<std::uint64_t>(thread) + 1);
                added += noted.outcome == Noted::added;
                std::uint64_t first = 0;
                if (!spis[i].compare_exchange_strong(first, noted.spi)) {
                    wrong += first != noted.spi;
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(kMessages, added);
    LONGS_EQUAL(0, wrong);
    UNSIGNED_LONGS_EQUAL(kMessages, inits.count());
}
