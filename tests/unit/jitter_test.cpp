// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivo-jitter/jitter.h>

#include "fake_host.h"
#include "fake_reply.h"

#include <CppUTest/TestHarness.h>

TEST_GROUP(Jitter) {
    FakeHost host{"ivo-jitter"};
    ivo_jitter_t* jitter = ivo_jitter_create(&host);

    void teardown() override {
        ivo_jitter_destroy(jitter);
    }

    nlohmann::json stats() {
        FakeReply reply;
        ivo_jitter_stats(jitter, &reply);
        CHECK_EQUAL(1, reply.lines.size());
        return nlohmann::json::parse(reply.lines.at(0));
    }
};

TEST(Jitter, countsEachKindOfEvent) {
    ivo_jitter_event(jitter, IVO_JITTER_IKE_SA_ESTABLISHED);
    ivo_jitter_event(jitter, IVO_JITTER_CHILD_SA_REKEYED);
    ivo_jitter_event(jitter, IVO_JITTER_CHILD_SA_REKEYED);
    const auto answer = stats();
    LONGS_EQUAL(1, answer["ike_sas_established"].get<long>());
    LONGS_EQUAL(0, answer["ike_sas_rekeyed"].get<long>());
    LONGS_EQUAL(2, answer["child_sas_rekeyed"].get<long>());
}

TEST(Jitter, countsNothingWhileSwitchedOff) {
    host.options["enabled"] = "no";
    ivo_jitter_reload(jitter);
    ivo_jitter_event(jitter, IVO_JITTER_IKE_SA_REKEYED);
    LONGS_EQUAL(0, stats()["ike_sas_rekeyed"].get<long>());
}
