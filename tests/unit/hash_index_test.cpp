// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/hash_index.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

using ivo::HashIndex;
using ivo::Place;

namespace {

std::set<Place> all(const HashIndex& index, HashIndex::Hash hash) {
    std::set<Place> found;
    index.find(hash, [&](Place place) {
        found.insert(place);
        return false;
    });
    return found;
}

}  // namespace

TEST_GROUP(HashIndex) {
    HashIndex index{1};
};

TEST(HashIndex, findsWhatWasInserted) {
    CHECK(index.insert(7, 3));
    CHECK(all(index, 7) == std::set<Place>{3});
    CHECK(all(index, 8).empty());
}

TEST(HashIndex, keepsSeveralUnderOneHash) {
    for (Place place = 0; place < 100; place++) {
        CHECK(index.insert(7, place));
    }
    UNSIGNED_LONGS_EQUAL(100, all(index, 7).size());
    CHECK(index.remove(7, 50));
    CHECK_FALSE(index.remove(7, 50));
    UNSIGNED_LONGS_EQUAL(99, all(index, 7).size());
}

TEST(HashIndex, takesTheExtremesOfHashAndPlace) {
    CHECK(index.insert(0, 0));
    CHECK(index.insert(0xffffffff, 0xfffffffd));
    CHECK(all(index, 0) == std::set<Place>{0});
    CHECK(all(index, 0xffffffff) == std::set<Place>{0xfffffffd});
}

TEST(HashIndex, stopsAtTheVisitThatSaysSo) {
    index.insert(7, 1);
    index.insert(7, 2);
    int visits = 0;
    CHECK(index.find(7, [&](Place) { return ++visits == 1; }));
    LONGS_EQUAL(1, visits);
}

TEST(HashIndex, growsAndReusesWhatWasRemoved) {
    for (int round = 0; round < 3; round++) {
        for (Place place = 0; place < 20000; place++) {
            CHECK(index.insert(place * 0x9e3779b9u, place));
        }
        for (Place place = 0; place < 20000; place++) {
            CHECK(index.remove(place * 0x9e3779b9u, place));
        }
    }
    UNSIGNED_LONGS_EQUAL(0, index.count());
    CHECK(index.buckets() >= 20000 / 4 / 2);
    CHECK(index.buckets() <= 20000);
}

/// Random operations against a plain map. Few hashes, so that chains are long, and many, so that it grows.
TEST(HashIndex, doesWhatAMultimapDoes) {
    for (std::uint64_t seed = 1; seed <= 30; seed++) {
        std::mt19937_64 random(seed);
        HashIndex tried{1};
        std::set<std::pair<HashIndex::Hash, Place>> model;
        const std::uint32_t hashes = seed % 3 == 0 ? 5 : 5000;
        const auto text = "seed " + std::to_string(seed);
        for (int i = 0; i < 20000; i++) {
            const auto hash = static_cast<HashIndex::Hash>(random() % hashes) * 0x01000193u;
            const auto place = static_cast<Place>(random() % 50);
            switch (random() % 3) {
                case 0:
                    if (model.emplace(hash, place).second) {
                        CHECK_TEXT(tried.insert(hash, place), text.c_str());
                    }
                    break;
                case 1:
                    CHECK_EQUAL_TEXT(model.erase({hash, place}) == 1, tried.remove(hash, place), text.c_str());
                    break;
                default: {
                    std::set<Place> expected;
                    for (auto at = model.lower_bound({hash, 0}); at != model.end() && at->first == hash; ++at) {
                        expected.insert(at->second);
                    }
                    CHECK_TEXT(all(tried, hash) == expected, text.c_str());
                    break;
                }
            }
            UNSIGNED_LONGS_EQUAL_TEXT(model.size(), tried.count(), text.c_str());
        }
    }
}

/// Threads that insert and remove their own, while some entries stay: those are found at any time, however it grows.
TEST(HashIndex, alwaysFindsWhatStays) {
    constexpr Place kStaying = 2000;
    constexpr int kThreads = 3;
    for (Place place = 0; place < kStaying; place++) {
        index.insert(place * 0x9e3779b9u, place);
    }
    std::atomic<int> missed{0}, left{kThreads};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; thread++) {
        threads.emplace_back([&, thread] {
            const Place mine = kStaying + static_cast<Place>(thread) * 100000;
            for (Place place = mine; place < mine + 8000; place++) {
                missed += !index.insert(place * 0x9e3779b9u, place);
            }
            for (Place place = mine; place < mine + 8000; place++) {
                missed += !index.remove(place * 0x9e3779b9u, place);
            }
            left--;
        });
    }
    threads.emplace_back([&] {
        for (Place place = 0; left > 0; place = (place + 1) % kStaying) {
            missed += !index.find(place * 0x9e3779b9u, [&](Place found) { return found == place; });
        }
    });
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(0, missed);
    UNSIGNED_LONGS_EQUAL(kStaying, index.count());
}
