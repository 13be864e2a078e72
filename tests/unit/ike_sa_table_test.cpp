// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/ike_sa_table.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>

#include <stress/fake_charon.h>

#include <CppUTest/TestHarness.h>

using ivo::Address;
using ivo::IkeSaTable;
using ivo::Walk;

namespace {

ivo_address_t v4(std::uint8_t last) {
    ivo_address_t address{};
    address.length = 4;
    address.bytes[3] = last;
    return address;
}

ivo_ike_id_t initiator(std::uint64_t mine, std::uint64_t theirs = 0, std::uint8_t version = 2) {
    return {.initiator_spi = mine, .responder_spi = theirs, .version = version, .initiator = true};
}

ivo_ike_id_t responder(std::uint64_t theirs, std::uint64_t mine, std::uint8_t version = 2) {
    return {.initiator_spi = theirs, .responder_spi = mine, .version = version, .initiator = false};
}

ivo_ike_message_t init(const char* text, std::uint8_t from = 1) {
    ivo_ike_message_t message{};
    message.id = {.initiator_spi = 500, .responder_spi = 0, .version = 2, .initiator = true};
    message.exchange = IVO_EXCHANGE_IKE_SA_INIT;
    message.request = true;
    message.source = v4(from);
    message.bytes = reinterpret_cast<const std::uint8_t*>(text);
    message.length = std::char_traits<char>::length(text);
    return message;
}

ivo_peers_t alice() {
    static const std::uint8_t me[] = {'g', 'w'}, other[] = {'a'};
    return {{2, me, 2}, {3, other, 1}};
}

}  // namespace

TEST_GROUP(IkeSaTable) {
    FakeCharon charon;
    IkeSaTable table;
    ivo_checkout_t how = IVO_CHECKOUT_UNKNOWN;

    void setup() override {
        limit(0);
    }
    void teardown() override {
        table.clear();
        UNSIGNED_LONGS_EQUAL(charon.made.load(), charon.destroyed.load());
    }

    void limit(std::uint32_t most) {
        const ivo_sessiontable_settings_t settings{.ikesa_limit = most, .threads = 4};
        table.attach(charon, settings);
    }
    FakeSa* add(const ivo_ike_id_t& id, bool release = true) {
        FakeSa* sa = charon.make(id);
        CHECK(table.add(sa));
        if (release) {
            table.release(sa);
        }
        return sa;
    }
    void checkin(FakeSa * sa) {
        bool wants = false;
        CHECK(table.update(sa, wants));
        if (wants) {
            table.setPeers(sa, alice());
        }
        table.release(sa);
    }
    void* checkout(const ivo_ike_id_t& id) {
        return table.checkout(id, how).handOver();
    }
    void* checkout(const ivo_ike_message_t& message) {
        if (message.exchange == IVO_EXCHANGE_IKE_SA_INIT) {
            table.halfOpen().raise(Address(message.source), ivo::Role::responder);
        }
        return table.checkout(message, how).handOver();
    }
    void gives(FakeSa * sa, const ivo_ike_id_t& id) {
        POINTERS_EQUAL(sa, checkout(id));
        if (sa) {
            table.release(sa);
        }
    }
};

TEST(IkeSaTable, findsByTheWholeId) {
    FakeSa* mine = add(initiator(1, 2));
    FakeSa* theirs = add(responder(3, 4));
    gives(mine, initiator(1, 2));
    gives(theirs, responder(3, 4));
    gives(nullptr, initiator(1, 3));
    gives(nullptr, responder(1, 2));
    LONGS_EQUAL(2, table.count());
}

TEST(IkeSaTable, findsByAnIdFromBeforeTheResponderSpiWasKnown) {
    FakeSa* sa = add(initiator(1));
    gives(sa, initiator(1, 9));
    sa->description.id.responder_spi = 9;
    POINTERS_EQUAL(sa, checkout(initiator(1)));
    checkin(sa);
    gives(sa, initiator(1));
    gives(sa, initiator(1, 9));
    gives(nullptr, initiator(1, 8));
}

TEST(IkeSaTable, ignoresTheInitiatorFlagOfIkeV1) {
    FakeSa* sa = add(responder(1, 2, 1));
    gives(sa, initiator(1, 2, 1));
    gives(sa, initiator(1, 0, 1));
    gives(nullptr, initiator(1, 2, 2));
}

TEST(IkeSaTable, givesTheNewestOfEqualIds) {
    add(initiator(1, 2));
    FakeSa* newest = add(initiator(1, 2));
    gives(newest, initiator(1, 2));
}

TEST(IkeSaTable, findsByUniqueId) {
    FakeSa* sa = add(initiator(1, 2));
    POINTERS_EQUAL(sa, table.checkout(sa->description.unique_id).handOver());
    table.release(sa);
    POINTERS_EQUAL(nullptr, table.checkout(sa->description.unique_id + 1).handOver());
}

TEST(IkeSaTable, givesBackWhatWasNotHandedOver) {
    add(initiator(1, 2));
    { const auto held = table.checkout(initiator(1, 2), how); }
    CHECK(static_cast<bool>(table.checkout(initiator(1, 2), how)));
}

TEST(IkeSaTable, registersAnUnknownSaWhenItIsCheckedIn) {
    FakeSa* sa = charon.make(initiator(1, 2));
    CHECK_FALSE(table.has(sa));
    checkin(sa);
    CHECK(table.has(sa));
    gives(sa, initiator(1, 2));
}

TEST(IkeSaTable, followsAChangedSpi) {
    FakeSa* sa = add(initiator(1), false);
    CHECK(table.changeSpi(sa, 11) == IVO_CHECKOUT_FOUND);
    sa->description.id.initiator_spi = 11;
    checkin(sa);
    gives(sa, initiator(11));
    gives(nullptr, initiator(1));
}

TEST(IkeSaTable, makesAnSaForAnInitialMessageOnce) {
    void* sa = checkout(init("one"));
    CHECK(how == IVO_CHECKOUT_CREATED);
    LONGS_EQUAL(1, table.halfOpen().count(Address(v4(1)), true));
    // while it is processed, and afterwards
    POINTERS_EQUAL(nullptr, checkout(init("one")));
    CHECK(how == IVO_CHECKOUT_PROCESSING);
    static_cast<FakeSa*>(sa)->description.connecting = true;
    static_cast<FakeSa*>(sa)->description.other = v4(1);
    checkin(static_cast<FakeSa*>(sa));
    POINTERS_EQUAL(sa, checkout(init("one")));
    CHECK(how == IVO_CHECKOUT_FOUND);
    LONGS_EQUAL(1, table.halfOpen().count(false));
    CHECK(table.destroy(sa) == IVO_DESTROYED);
    LONGS_EQUAL(0, table.halfOpen().count(false));
    // and again when the first has gone
    CHECK(checkout(init("one")) != nullptr);
    CHECK(how == IVO_CHECKOUT_CREATED);
}

TEST(IkeSaTable, lowersTheHalfOpenCountOnEachPathThatMakesNoSa) {
    limit(1);
    add(initiator(1));
    POINTERS_EQUAL(nullptr, checkout(init("over the limit")));
    CHECK(how == IVO_CHECKOUT_LIMIT);
    limit(0);
    charon.failCreate = true;
    POINTERS_EQUAL(nullptr, checkout(init("not made")));
    CHECK(how == IVO_CHECKOUT_NOT_CREATED);
    charon.nextSpi = 0;
    POINTERS_EQUAL(nullptr, checkout(init("no SPI")));
    CHECK(how == IVO_CHECKOUT_NO_SPI);
    auto later = init("not the first");
    later.message_id = 1;
    POINTERS_EQUAL(nullptr, checkout(later));
    CHECK(how == IVO_CHECKOUT_UNKNOWN);
    auto known = init("with a responder SPI");
    known.id.responder_spi = 5;
    POINTERS_EQUAL(nullptr, checkout(known));
    LONGS_EQUAL(0, table.halfOpen().count(false));
}

TEST(IkeSaTable, setsTheHalfOpenCountByStateAndAddress) {
    FakeSa* sa = charon.make(initiator(1));
    sa->description.connecting = true;
    sa->description.other = v4(1);
    checkin(sa);
    LONGS_EQUAL(1, table.halfOpen().count(Address(v4(1)), false));
    LONGS_EQUAL(0, table.halfOpen().count(Address(v4(1)), true));
    checkout(initiator(1));
    sa->description.other = v4(2);
    checkin(sa);
    LONGS_EQUAL(0, table.halfOpen().count(Address(v4(1)), false));
    LONGS_EQUAL(1, table.halfOpen().count(Address(v4(2)), false));
    checkout(initiator(1));
    sa->description.connecting = false;
    checkin(sa);
    LONGS_EQUAL(0, table.halfOpen().count(false));
}

TEST(IkeSaTable, listsTheSasBetweenTwoIdentitiesInTheirOrder) {
    for (std::uint64_t spi = 1; spi <= 5; spi++) {
        FakeSa* sa = charon.make(initiator(spi, 9));
        sa->description.established = true;
        sa->description.other = v4(1);
        checkin(sa);
    }
    CHECK(table.hasContact(alice(), 4));
    CHECK(table.hasContact(alice(), 0));
    CHECK_FALSE(table.hasContact(alice(), 6));
    const auto ids = table.idsBetween(alice(), 4);
    UNSIGNED_LONGS_EQUAL(5, ids.size());
    for (std::uint64_t i = 0; i < ids.size(); i++) {
        CHECK(ids[i].initiator_spi == i + 1);
    }
    table.destroy(checkout(initiator(3, 9)));
    UNSIGNED_LONGS_EQUAL(4, table.idsBetween(alice(), 4).size());
}

TEST(IkeSaTable, dropsAMessageWhenTooManyWait) {
    FakeSa* sa = add(responder(1, 2), false);
    auto message = init("");
    message.exchange = IVO_EXCHANGE_OTHER;
    message.id.initiator_spi = 1;
    message.id.responder_spi = 2;
    // Of six threads half of the four that charon has may wait, the others are told so.
    std::vector<std::thread> threads;
    std::atomic<int> served{0};
    for (std::uint32_t i = 1; i <= 6; i++) {
        message.message_id = message.processing = i;
        threads.emplace_back([this, message, &served] {
            ivo_checkout_t outcome;
            if (void* got = table.checkout(message, outcome).handOver()) {
                served++;
                table.release(got);
            }
        });
    }
    while (table.refused() < 4) {
        std::this_thread::yield();
    }
    table.release(sa);
    for (auto& thread : threads) {
        thread.join();
    }
    LONGS_EQUAL(2, served);
    UNSIGNED_LONGS_EQUAL(4, table.refused());
}

TEST(IkeSaTable, walksOverAll) {
    for (std::uint64_t spi = 1; spi <= 100; spi++) {
        add(initiator(spi));
    }
    std::vector<void*> seen;
    Walk walk(table, true, false);
    while (void* sa = walk.next()) {
        seen.push_back(sa);
    }
    std::ranges::sort(seen);
    CHECK(std::ranges::adjacent_find(seen) == seen.end());
    UNSIGNED_LONGS_EQUAL(100, seen.size());
}

TEST(IkeSaTable, walksFromTheNewest) {
    FakeSa* first = add(initiator(1));
    FakeSa* second = add(initiator(2));
    Walk walk(table, true, true);
    POINTERS_EQUAL(second, walk.next());
    POINTERS_EQUAL(first, walk.next());
    POINTERS_EQUAL(nullptr, walk.next());
}

TEST(IkeSaTable, aWalkThatDoesNotWaitPassesOverWhatIsCheckedOut) {
    add(initiator(1), false);
    FakeSa* second = add(initiator(2));
    Walk walk(table, false, false);
    POINTERS_EQUAL(second, walk.next());
    POINTERS_EQUAL(nullptr, walk.next());
}

TEST(IkeSaTable, theThreadOfAWalkMayCheckTheSameSaOutAgain) {
    FakeSa* sa = add(initiator(1));
    Walk walk(table, true, false);
    POINTERS_EQUAL(sa, walk.next());
    POINTERS_EQUAL(sa, checkout(initiator(1)));
    checkin(sa);
    // the walk still has it
    std::thread other([&] {
        Walk second(table, false, false);
        POINTERS_EQUAL(nullptr, second.next());
    });
    other.join();
    POINTERS_EQUAL(nullptr, walk.next());
    gives(sa, initiator(1));
}

TEST(IkeSaTable, theThreadOfAWalkMayDestroyWhatItStandsOn) {
    FakeSa* sa = add(initiator(1));
    FakeSa* second = add(initiator(2));
    Walk walk(table, true, false);
    POINTERS_EQUAL(sa, walk.next());
    POINTERS_EQUAL(sa, checkout(initiator(1)));
    CHECK(table.destroy(sa) == IVO_DESTROYED);
    POINTERS_EQUAL(second, walk.next());
}

TEST(IkeSaTable, aWalkGivesWayWhenItsThreadHasToWait) {
    FakeSa* first = add(initiator(1));
    FakeSa* second = add(initiator(2), false);
    std::atomic<bool> stands{false};
    std::thread walker([&] {
        Walk walk(table, false, false);
        POINTERS_EQUAL(first, walk.next());
        stands = true;
        ivo_checkout_t outcome;
        POINTERS_EQUAL(second, table.checkout(initiator(2), outcome).handOver());
        table.release(second);
    });
    // it lets go of the first only while it waits for the second, which we have
    FakeSa* got = nullptr;
    while (!stands || !got) {
        if (!stands) {
            std::this_thread::yield();
            continue;
        }
        Walk look(table, false, false);
        got = static_cast<FakeSa*>(look.next());
        if (got == first) {
            look.keep();
        }
    }
    POINTERS_EQUAL(first, got);
    table.release(first);
    table.release(second);
    walker.join();
}

TEST(IkeSaTable, whatAWalkKeepsStaysCheckedOut) {
    FakeSa* sa = add(initiator(1));
    {
        Walk walk(table, true, false);
        POINTERS_EQUAL(sa, walk.next());
        walk.keep();
    }
    Walk walk(table, false, false);
    POINTERS_EQUAL(nullptr, walk.next());
    table.release(sa);
}

TEST(IkeSaTable, flushClosesAndDestroysAll) {
    for (std::uint64_t spi = 1; spi <= 10; spi++) {
        add(initiator(spi));
    }
    table.flush();
    LONGS_EQUAL(0, table.count());
    UNSIGNED_LONGS_EQUAL(10, charon.closed.load());
    // what comes in later can not be checked out
    FakeSa* late = charon.make(initiator(1));
    checkin(late);
    POINTERS_EQUAL(nullptr, checkout(initiator(1)));
    CHECK(how == IVO_CHECKOUT_GOING);
}

TEST(IkeSaTable, flushWaitsForTheHolderWhoMayTryToDestroy) {
    FakeSa* sa = add(initiator(1), false);
    std::thread flusher([&] { table.flush(); });
    ivo_checkout_t outcome = IVO_CHECKOUT_UNKNOWN;
    // until flush() has seen it
    while (table.changeSpi(sa, 1) != IVO_CHECKOUT_GOING) {
        std::this_thread::yield();
    }
    POINTERS_EQUAL(nullptr, table.checkout(initiator(1), outcome).handOver());
    CHECK(table.destroy(sa) == IVO_LEFT_TO_FLUSH);
    flusher.join();
    UNSIGNED_LONGS_EQUAL(1, charon.closed.load());
}

TEST(IkeSaTable, doesNotTouchAnSaThatItDoesNotKnow) {
    FakeSa* sa = charon.make(initiator(1));
    CHECK(table.destroy(sa) == IVO_NOT_REGISTERED);
    charon.destroy(&charon, sa);
}

/// Random operations of one thread against a plain list of what is registered.
TEST(IkeSaTable, findsWhatAListFinds) {
    for (std::uint64_t seed = 1; seed <= 20; seed++) {
        std::mt19937_64 random(seed);
        std::vector<FakeSa*> model;
        const auto text = "seed " + std::to_string(seed);
        for (int i = 0; i < 3000; i++) {
            const std::uint64_t spi = random() % 20 + 1, other = random() % 3;
            const bool mine = random() % 2;
            const auto version = static_cast<std::uint8_t>(random() % 4 ? 2 : 1);
            const auto id = mine || version == 1 ? initiator(spi, other, version) : responder(other + 1, spi, version);
            if (random() % 3 == 0 && model.size() < 40) {
                model.push_back(add(id));
                continue;
            }
            // The newest one of those that are equal, or may be as far as one knows.
            FakeSa* expected = nullptr;
            for (FakeSa* sa : model) {
                const auto& its = sa->description.id;
                const bool role = id.version == 1 || its.initiator == id.initiator;
                const bool equal = its.version == id.version && role && its.initiator_spi == id.initiator_spi &&
                                   its.responder_spi == id.responder_spi;
                const bool half =
                    role && its.initiator_spi == id.initiator_spi && (its.responder_spi == 0 || id.responder_spi == 0);
                const auto key = [](const ivo_ike_id_t& one) {
                    return one.version == 1 || one.initiator ? one.initiator_spi : one.responder_spi;
                };
                if ((equal || half) && key(its) == key(id)) {
                    expected = sa;
                }
            }
            auto* got = static_cast<FakeSa*>(checkout(id));
            POINTERS_EQUAL_TEXT(expected, got, text.c_str());
            if (got && random() % 3 == 0) {
                std::erase(model, got);
                table.destroy(got);
            } else if (got) {
                checkin(got);
            }
        }
        while (!model.empty()) {
            POINTERS_EQUAL(model.back(), table.checkout(model.back()->description.unique_id).handOver());
            table.destroy(model.back());
            model.pop_back();
        }
    }
}
