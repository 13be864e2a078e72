// SPDX-License-Identifier: GPL-2.0-or-later
#include <CppUTest/CommandLineTestRunner.h>

int main(int count, char** words) {
    return CommandLineTestRunner::RunAllTests(count, words);
}
