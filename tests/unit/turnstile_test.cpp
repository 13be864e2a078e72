// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/turnstile.h>

#include <atomic>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

using ivo::Generation;
using ivo::Turnstile;
using Result = Turnstile::Result;

TEST_GROUP(Turnstile) {
    Turnstile turn{};

    Result take(Generation generation, std::uint32_t most = Turnstile::kMostWaiting) {
        return turn.take(generation, most, [] {});
    }
    /// Until so many wait.
    void awaitWaiting(std::uint32_t count) {
        while (turn.waiting() != count) {
            std::this_thread::yield();
        }
    }
};

TEST(Turnstile, isNobodysBeforeItBegins) {
    CHECK_FALSE(turn.alive());
    CHECK(turn.tryTake(Generation{0}) == Result::over);
}

TEST(Turnstile, goesToOneAtATime) {
    const Generation generation = turn.begin(false);
    CHECK(turn.tryTake(generation) == Result::mine);
    CHECK(turn.tryTake(generation) == Result::busy);
    turn.leave();
    CHECK(turn.tryTake(generation) == Result::mine);
}

TEST(Turnstile, canBeginHeld) {
    const Generation generation = turn.begin(true);
    CHECK(turn.tryTake(generation) == Result::busy);
    turn.leave();
    CHECK(turn.tryTake(generation) == Result::mine);
}

TEST(Turnstile, isBusyWhenTooManyWait) {
    const Generation generation = turn.begin(true);
    std::thread waiter([&] {
        CHECK(take(generation) == Result::mine);
        turn.leave();
    });
    awaitWaiting(1);
    CHECK(take(generation, 1) == Result::busy);
    turn.leave();
    waiter.join();
}

TEST(Turnstile, servesInTheOrderOfArrival) {
    const Generation generation = turn.begin(true);
    std::vector<int> order;
    std::vector<std::thread> threads;
    for (int i = 0; i < 40; i++) {
        threads.emplace_back([&, i] {
            if (take(generation) == Result::mine) {
                order.push_back(i);
                turn.leave();
            }
        });
        awaitWaiting(static_cast<std::uint32_t>(i) + 1);
    }
    turn.leave();
    for (auto& thread : threads) {
        thread.join();
    }
    UNSIGNED_LONGS_EQUAL(40, order.size());
    for (int i = 0; i < 40; i++) {
        LONGS_EQUAL(i, order[static_cast<std::size_t>(i)]);
    }
}

TEST(Turnstile, drivesOutThoseWhoWait) {
    const Generation generation = turn.begin(true);
    std::atomic<int> gone{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 5; i++) {
        threads.emplace_back([&] { gone += take(generation) == Result::gone; });
    }
    awaitWaiting(5);
    CHECK(turn.driveOut());
    CHECK_FALSE(turn.driveOut());
    turn.waitAlone();
    turn.end();
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(5, gone);
    CHECK(turn.tryTake(generation) == Result::over);
}

TEST(Turnstile, tellsALaterLifeFromThis) {
    const Generation first = turn.begin(true);
    turn.driveOut();
    CHECK(turn.tryTake(first) == Result::gone);
    turn.end();
    const Generation second = turn.begin(false);
    CHECK(first != second);
    CHECK(turn.tryTake(first) == Result::over);
    CHECK(turn.tryTake(second) == Result::mine);
}

TEST(Turnstile, whoDrivesOutFromOutsideGetsItWhenTheHolderLeaves) {
    const Generation generation = turn.begin(true);
    turn.driveOut(generation);
    std::atomic<bool> left{false};
    std::thread owner([&] {
        CHECK(turn.takeIdle(generation));
        CHECK(left.load());
    });
    // the holder finds out and only leaves
    CHECK_FALSE(turn.driveOut());
    left = true;
    turn.leave();
    owner.join();
}

TEST(Turnstile, losesNoTurnAmongManyThreads) {
    const Generation generation = turn.begin(false);
    constexpr int kThreads = 6, kTurns = 3000;
    int guarded = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++) {
        threads.emplace_back([&] {
            for (int n = 0; n < kTurns; n++) {
                if (take(generation) == Result::mine) {
                    guarded++;
                    turn.leave();
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(kThreads * kTurns, guarded);
    CHECK_FALSE(turn.held());
}
