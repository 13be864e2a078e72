// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-sessiontable/session_table.h>

#include <thread>

#include "fake_host.h"
#include "fake_reply.h"

#include <CppUTest/TestHarness.h>

TEST_GROUP(SessionTable) {
    FakeHost host{"ivo-sessiontable"};
    ivo_sessiontable_t* table = ivo_sessiontable_create(&host);

    void teardown() override {
        ivo_sessiontable_destroy(table);
    }

    nlohmann::json stats(uint32_t ikeSas = 0, uint32_t halfOpen = 0) {
        FakeReply reply;
        ivo_sessiontable_stats(table, ikeSas, halfOpen, &reply);
        STRCMP_EQUAL("", reply.error.c_str());
        CHECK_EQUAL(1, reply.lines.size());
        return nlohmann::json::parse(reply.lines.at(0));
    }
};

TEST(SessionTable, countsADelegatedCallUnderItsMethod) {
    ivo_sessiontable_count_call(table, IVO_MANAGER_CHECKOUT_BY_MESSAGE);
    ivo_sessiontable_count_call(table, IVO_MANAGER_CHECKOUT_BY_MESSAGE);
    ivo_sessiontable_count_call(table, IVO_MANAGER_FLUSH);
    const auto answer = stats(7, 3);
    LONGS_EQUAL(3, answer["delegated_calls"].get<long>());
    LONGS_EQUAL(0, answer["bypassed_calls"].get<long>());
    LONGS_EQUAL(2, answer["delegated"]["checkout_by_message"].get<long>());
    LONGS_EQUAL(1, answer["delegated"]["flush"].get<long>());
    LONGS_EQUAL(0, answer["delegated"]["checkout"].get<long>());
    LONGS_EQUAL(7, answer["ike_sas"].get<long>());
    LONGS_EQUAL(3, answer["half_open_ike_sas"].get<long>());
}

TEST(SessionTable, hasANameForEachMethod) {
    LONGS_EQUAL(IVO_MANAGER_METHODS, stats()["delegated"].size());
}

TEST(SessionTable, countsBypassedCallsWhileSwitchedOff) {
    host.options["enabled"] = "no";
    ivo_sessiontable_reload(table);
    ivo_sessiontable_count_call(table, IVO_MANAGER_CHECKOUT);
    host.options["enabled"] = "yes";
    ivo_sessiontable_reload(table);
    ivo_sessiontable_count_call(table, IVO_MANAGER_CHECKOUT);
    UNSIGNED_LONGS_EQUAL(1, ivo_sessiontable_bypassed_calls(table));
    UNSIGNED_LONGS_EQUAL(1, ivo_sessiontable_delegated_calls(table));
}

TEST(SessionTable, losesNoCountOfManyThreads) {
    constexpr int kThreads = 4, kCalls = 20000;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++) {
        threads.emplace_back([this] {
            for (int call = 0; call < kCalls; call++) {
                ivo_sessiontable_count_call(table, IVO_MANAGER_CHECKIN);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    UNSIGNED_LONGS_EQUAL(kThreads * kCalls, ivo_sessiontable_delegated_calls(table));
}
