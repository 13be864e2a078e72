// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivoctl/client.h>
#include <ivoctl/stats.h>

#include <CppUTest/TestHarness.h>

TEST_GROUP(IvoctlStats){};

TEST(IvoctlStats, jsonIsOneObjectByPlugin) {
    STRCMP_EQUAL("{\"a\":{\"enabled\":true},\"b\":{\"x\":2}}\n",
                 ivoctl::statsAsJson({"{\"plugin\":\"a\",\"enabled\":true}", "{\"plugin\":\"b\",\"x\":2}"}).c_str());
}

TEST(IvoctlStats, textHasALineForEachCounter) {
    STRCMP_EQUAL(
        "a\n"
        "  enabled                     no\n"
        "  ike sas                     5\n"
        "  delegated:\n"
        "    checkout                  3\n",
        ivoctl::statsAsText({R"({"plugin":"a","enabled":false,"ike_sas":5,"delegated":{"checkout":3}})"}).c_str());
}

TEST(IvoctlStats, refusesWhatIsNoPluginsAnswer) {
    for (const char* line : {"", "nonsense", "[]", "{}", "{\"plugin\":3}"}) {
        CHECK_THROWS(ivoctl::RequestError, ivoctl::statsAsJson({line}));
    }
}
