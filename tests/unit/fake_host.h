// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/host.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

/// A host with options and a log that a test can look at.
class FakeHost : public ivo_host_t {
public:
    explicit FakeHost(const char* name) : ivo_host_t{} {
        plugin = name;
        get_option = [](const ivo_host_t* host, const char* option, char* text, size_t size) {
            const auto& options = static_cast<const FakeHost*>(host)->options;
            const auto found = options.find(option);
            if (found == options.end()) {
                return false;
            }
            std::snprintf(text, size, "%s", found->second.c_str());
            return true;
        };
        visit_options = [](const ivo_host_t* host, ivo_option_visitor_t visit, void* context) {
            for (const auto& [name, value] : static_cast<const FakeHost*>(host)->options) {
                visit(context, name.c_str());
            }
        };
        log = [](const ivo_host_t* host, const char* message, int, const char* text) {
            static_cast<const FakeHost*>(host)->lines.push_back(std::string("[") + message + "] " + text);
        };
    }

    std::map<std::string, std::string> options;
    mutable std::vector<std::string> lines;
};
