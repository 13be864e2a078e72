// SPDX-License-Identifier: GPL-2.0-or-later
#include <common/options.h>

#include "fake_host.h"

#include <CppUTest/TestHarness.h>

TEST_GROUP(Options) {
    FakeHost host{"ivo-jitter"};
};

TEST(Options, anUnsetBooleanIsItsDefault) {
    ivo::Options options(host);
    CHECK_TRUE(options.boolean("enabled", true));
    CHECK_FALSE(options.boolean("enabled", false));
    CHECK_TRUE(host.lines.empty());
}

TEST(Options, aBooleanTakesTheWordsOfStrongSwanInAnyCase) {
    for (const char* word : {"yes", "true", "enabled", "1", "YES", "True"}) {
        host.options["enabled"] = word;
        CHECK_TRUE_TEXT(ivo::Options(host).boolean("enabled", false), word);
    }
    for (const char* word : {"no", "false", "disabled", "0", "No"}) {
        host.options["enabled"] = word;
        CHECK_FALSE_TEXT(ivo::Options(host).boolean("enabled", true), word);
    }
    CHECK_TRUE(host.lines.empty());
}

TEST(Options, aBadBooleanIsNamedWithItsRangeAndTheDefaultTaken) {
    host.options["enabled"] = "maybe";
    CHECK_TRUE(ivo::Options(host).boolean("enabled", true));
    CHECK_EQUAL(1, host.lines.size());
    STRCMP_EQUAL("[option-invalid] charon.plugins.ivo-jitter.enabled = maybe is not yes or no; using the default, yes",
                 host.lines[0].c_str());
}

TEST(Options, anEmptyValueIsNamedToo) {
    host.options["enabled"] = "";
    CHECK_FALSE(ivo::Options(host).boolean("enabled", false));
    STRCMP_EQUAL("[option-invalid] charon.plugins.ivo-jitter.enabled = (empty) is not yes or no; using the default, no",
                 host.lines[0].c_str());
}

TEST(Options, aValueLongerThanAnyIsBadAndNotOverrun) {
    host.options["enabled"] = std::string(10000, 'y');
    CHECK_TRUE(ivo::Options(host).boolean("enabled", true));
    CHECK_EQUAL(1, host.lines.size());
}

TEST(Options, unknownOnesAreReportedAndLoadIsNot) {
    host.options = {{"load", "yes"}, {"enabled", "yes"}, {"enabeld", "no"}};
    ivo::Options options(host);
    options.boolean("enabled", true);
    options.reportUnknown();
    CHECK_EQUAL(1, host.lines.size());
    STRCMP_EQUAL("[option-unknown] charon.plugins.ivo-jitter.enabeld is not an option of this plugin and is ignored",
                 host.lines[0].c_str());
}
