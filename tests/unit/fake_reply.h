// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/control.h>

#include <string>
#include <vector>

/// Collects an answer for a test to look at.
class FakeReply : public ivo_reply_t {
public:
    FakeReply() : ivo_reply_t{} {
        add_line = [](ivo_reply_t* reply, const char* text, size_t length) {
            static_cast<FakeReply*>(reply)->lines.emplace_back(text, length);
            return true;
        };
        fail = [](ivo_reply_t* reply, const char* text) { static_cast<FakeReply*>(reply)->error = text; };
    }

    std::vector<std::string> lines;
    std::string error;
};
