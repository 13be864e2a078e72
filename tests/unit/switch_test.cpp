// SPDX-License-Identifier: GPL-2.0-or-later
#include <common/options.h>
#include <common/switch.h>

#include "fake_host.h"

#include <CppUTest/TestHarness.h>

TEST_GROUP(Switch) {
    FakeHost host{"ivo-adaptive-nat"};
    ivo::Switch enabled{host};

    void update() {
        ivo::Options options(host);
        enabled.update(options);
    }
};

TEST(Switch, isOnWithoutAnyOptionAndSaysNothing) {
    update();
    CHECK_TRUE(enabled.on());
    CHECK_TRUE(host.lines.empty());
}

TEST(Switch, goesOffAndOnAgainAndSaysEachChangeOnce) {
    host.options["enabled"] = "no";
    update();
    update();
    CHECK_FALSE(enabled.on());
    host.options.clear();
    update();
    update();
    CHECK_TRUE(enabled.on());
    CHECK_EQUAL(2, host.lines.size());
    STRCMP_EQUAL("[switched-off] switched off by charon.plugins.ivo-adaptive-nat.enabled", host.lines[0].c_str());
    STRCMP_EQUAL("[switched-on] switched on by charon.plugins.ivo-adaptive-nat.enabled", host.lines[1].c_str());
}
