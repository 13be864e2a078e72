// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-adaptive-nat/adaptive_nat.h>

#include "fake_host.h"
#include "fake_reply.h"

#include <CppUTest/TestHarness.h>

TEST_GROUP(AdaptiveNat) {
    FakeHost host{"ivo-adaptive-nat"};
    ivo_adaptive_nat_t* nat = ivo_adaptive_nat_create(&host);

    void teardown() override {
        ivo_adaptive_nat_destroy(nat);
    }

    nlohmann::json stats() {
        FakeReply reply;
        ivo_adaptive_nat_stats(nat, &reply);
        CHECK_EQUAL(1, reply.lines.size());
        return nlohmann::json::parse(reply.lines.at(0));
    }
};

TEST(AdaptiveNat, countsAuthenticatedMessages) {
    ivo_adaptive_nat_heard(nat);
    ivo_adaptive_nat_heard(nat);
    LONGS_EQUAL(2, stats()["authenticated_messages"].get<long>());
    STRCMP_EQUAL("ivo-adaptive-nat", stats()["plugin"].get<std::string>().c_str());
}

TEST(AdaptiveNat, countsNoneWhileSwitchedOff) {
    host.options["enabled"] = "no";
    ivo_adaptive_nat_reload(nat);
    ivo_adaptive_nat_heard(nat);
    LONGS_EQUAL(0, stats()["authenticated_messages"].get<long>());
    CHECK_FALSE(stats()["enabled"].get<bool>());
}
