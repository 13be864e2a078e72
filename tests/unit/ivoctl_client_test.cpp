// SPDX-License-Identifier: GPL-2.0-or-later
#include <ivoctl/client.h>

#include <CppUTest/TestHarness.h>

TEST_GROUP(IvoctlClient){std::string error(const std::string& answer){try {ivoctl::parseAnswer(answer);
}
catch (const ivoctl::RequestError& failure) {
    return failure.what();
}
return "no error";
}
}
;

TEST(IvoctlClient, takesTheLinesBeforeTheStatus) {
    const auto lines = ivoctl::parseAnswer("{\"a\":1}\n{\"b\":2}\nok\n");
    CHECK_EQUAL(2, lines.size());
    STRCMP_EQUAL("{\"b\":2}", lines[1].c_str());
    CHECK_TRUE(ivoctl::parseAnswer("ok\n").empty());
}

TEST(IvoctlClient, anAnswerWithoutStatusWasCutOff) {
    for (const char* answer : {"", "ok", "{\"a\":1}\n", "{\"a\":1}\no", "{\"a\":1}\nok\n{"}) {
        STRCMP_EQUAL("the answer was cut off", error(answer).c_str());
    }
}

TEST(IvoctlClient, anErrorOfTheDaemonIsPassedOn) {
    STRCMP_EQUAL("the daemon says: unknown command 'x'", error("error: unknown command 'x'\n").c_str());
}

TEST(IvoctlClient, saysWhenNoDaemonIsThere) {
    try {
        ivoctl::request("/nonexistent/charon.ivo", "stats", std::chrono::seconds(1));
        FAIL("no error");
    } catch (const ivoctl::RequestError& failure) {
        STRCMP_EQUAL("/nonexistent/charon.ivo: no daemon with an IVO plugin there (No such file or directory)",
                     failure.what());
    }
}

TEST(IvoctlClient, refusesAPathThatNoSocketCanHave) {
    CHECK_THROWS(ivoctl::RequestError, ivoctl::request("/" + std::string(200, 'x'), "stats", std::chrono::seconds(1)));
}
