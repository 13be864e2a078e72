// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/child_sa_table.h>

#include <atomic>
#include <thread>
#include <vector>

#include <CppUTest/TestHarness.h>

using ivo::Address;
using ivo::ChildSaTable;

namespace {

constexpr std::uint8_t kEsp = 50;

ivo_address_t v4(std::uint8_t last) {
    ivo_address_t address{};
    address.length = 4;
    address.bytes[0] = 10;
    address.bytes[3] = last;
    return address;
}

ivo_child_sa_t child(std::uint32_t number) {
    ivo_child_sa_t child{};
    child.unique_id = number;
    child.ike_unique_id = number + 1000;
    child.spi_in = number * 2;
    child.spi_out = number * 2 + 1;
    child.protocol = kEsp;
    child.local = v4(1);
    child.remote = v4(2);
    child.remote_port = 4500;
    child.inner = v4(3);
    child.now = 100;
    return child;
}

}  // namespace

TEST_GROUP(ChildSaTable) {
    ChildSaTable table;
};

TEST(ChildSaTable, findsBothDirections) {
    CHECK(table.add(child(5)));
    const auto in = table.find(kEsp, 10, Address(v4(1)));
    const auto out = table.find(kEsp, 11, Address(v4(2)));
    CHECK(in && in->inbound && in->unique_id == 5 && in->ike_unique_id == 1005);
    CHECK(out && !out->inbound && out->unique_id == 5);
    CHECK(Address(in->inner) == Address(v4(3)));
    CHECK(Address(in->endpoint) == Address(v4(2)));
    LONGS_EQUAL(4500, in->port);
    CHECK(table.find(5)->spi == 10);
}

TEST(ChildSaTable, comparesProtocolSpiAndDestination) {
    table.add(child(5));
    CHECK_FALSE(table.find(51, 10, Address(v4(1))).has_value());
    CHECK_FALSE(table.find(kEsp, 12, Address(v4(1))).has_value());
    CHECK_FALSE(table.find(kEsp, 10, Address(v4(2))).has_value());
}

TEST(ChildSaTable, leavesAKnownOneAlone) {
    table.add(child(5));
    auto twin = child(6);
    twin.spi_in = 10;
    CHECK(table.add(twin));
    CHECK(table.find(kEsp, 10, Address(v4(1)))->unique_id == 5);
    CHECK_FALSE(table.find(6).has_value());
}

TEST(ChildSaTable, keepsTheTwoEndsOfATunnelWithinOneHostApart) {
    auto there = child(5);
    auto here = child(6);
    here.spi_in = there.spi_out;
    here.spi_out = there.spi_in;
    here.local = there.remote;
    here.remote = there.local;
    table.add(there);
    table.add(here);
    CHECK(table.find(kEsp, there.spi_in, Address(there.local))->unique_id == 5);
    CHECK(table.find(kEsp, here.spi_in, Address(here.local))->unique_id == 6);
    table.remove(5);
    CHECK(table.find(kEsp, there.spi_in, Address(there.local))->unique_id == 6);
}

TEST(ChildSaTable, removesBothDirections) {
    table.add(child(5));
    table.remove(5);
    UNSIGNED_LONGS_EQUAL(0, table.count());
    CHECK_FALSE(table.find(kEsp, 10, Address(v4(1))).has_value());
    CHECK_FALSE(table.find(5).has_value());
    table.remove(5);
    CHECK(table.add(child(5)));
}

TEST(ChildSaTable, notesTheLastTime) {
    table.add(child(5));
    CHECK(table.heard(kEsp, 10, Address(v4(1)), 120));
    LONGS_EQUAL(120, table.find(5)->heard);
    CHECK(table.heard(kEsp, 10, Address(v4(1)), 110));
    LONGS_EQUAL(120, table.find(5)->heard);
    CHECK_FALSE(table.heard(kEsp, 99, Address(v4(1)), 120));
}

/// Readers see a CHILD_SA whole or not at all, while others come and go at the same places.
TEST(ChildSaTable, isNeverSeenHalf) {
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    for (std::uint32_t number = 1; number <= 64; number++) {
        table.add(child(number));
    }
    std::vector<std::thread> threads;
    for (std::uint32_t thread = 0; thread < 2; thread++) {
        threads.emplace_back([&, thread] {
            for (std::uint32_t i = 0; i < 20000; i++) {
                const std::uint32_t number = 1 + (i * 2 + thread) % 64;
                table.remove(number);
                table.add(child(number));
            }
        });
    }
    std::thread reader([&] {
        for (std::uint32_t i = 0; !stop; i++) {
            const std::uint32_t number = 1 + i % 64;
            if (const auto found = table.find(kEsp, number * 2, Address(v4(1)))) {
                wrong +=
                    found->unique_id != number || found->ike_unique_id != number + 1000 || found->spi != number * 2;
            }
            table.heard(kEsp, number * 2, Address(v4(1)), i);
        }
    });
    for (auto& thread : threads) {
        thread.join();
    }
    stop = true;
    reader.join();
    LONGS_EQUAL(0, wrong);
    UNSIGNED_LONGS_EQUAL(128, table.count());
}
