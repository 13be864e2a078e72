// SPDX-License-Identifier: GPL-2.0-or-later
#include <CppUTest/CommandLineTestRunner.h>
#include <CppUTest/MemoryLeakWarningPlugin.h>

int main(int count, char** words) {
    // CppUTest's own leak detection is not made for threads that allocate at the same time; --enable-asan finds leaks.
    MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
    return CommandLineTestRunner::RunAllTests(count, words);
}
