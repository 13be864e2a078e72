// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivoctl/arguments.h>

#include <vector>

#include <CppUTest/TestHarness.h>

using ivoctl::Arguments;

TEST_GROUP(IvoctlArguments){Arguments parse(std::vector<std::string> words){words.insert(words.begin(), "ivoctl");
std::vector<char*> pointers;
for (auto& word : words) {
    pointers.push_back(word.data());
}
pointers.push_back(nullptr);
return ivoctl::parseArguments(static_cast<int>(words.size()), pointers.data());
}

std::string error(std::vector<std::string> words) {
    try {
        parse(std::move(words));
    } catch (const ivoctl::UsageError& usage) {
        return usage.what();
    }
    return "no error";
}
}
;

TEST(IvoctlArguments, takesACommandWithOptionsBeforeAndAfterIt) {
    const auto arguments = parse({"--socket", "unix:///tmp/x", "stats", "--json", "-t", "3"});
    CHECK(arguments.action == Arguments::Action::stats);
    STRCMP_EQUAL("/tmp/x", arguments.socket.c_str());
    CHECK_TRUE(arguments.json);
    LONGS_EQUAL(3, arguments.timeoutSeconds);
}

TEST(IvoctlArguments, namesWhatItDoesNotUnderstand) {
    STRCMP_EQUAL("a command is missing", error({}).c_str());
    STRCMP_EQUAL("unknown command 'stat'", error({"stat"}).c_str());
    STRCMP_EQUAL("stats takes no argument 'all'", error({"stats", "all"}).c_str());
    STRCMP_EQUAL("unknown option --jsn", error({"stats", "--jsn"}).c_str());
    STRCMP_EQUAL("--socket needs a value", error({"stats", "--socket"}).c_str());
    STRCMP_EQUAL("--socket takes the path of a UNIX socket", error({"--socket", "", "stats"}).c_str());
}

TEST(IvoctlArguments, namesTheRangeOfTheTimeout) {
    for (const char* bad : {"0", "3601", "-1", "ten", "5s", ""}) {
        STRCMP_EQUAL((std::string("--timeout takes a number of seconds from 1 to 3600, not '") + bad + "'").c_str(),
                     error({"stats", "--timeout", bad}).c_str());
    }
}

TEST(IvoctlArguments, helpNeedsNoCommand) {
    CHECK(parse({"--help"}).action == Arguments::Action::help);
    CHECK(parse({"stats", "-V"}).action == Arguments::Action::version);
}
