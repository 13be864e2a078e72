// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <algorithm>
#include <array>

#include "log.h"

namespace ivo {

std::string Options::key(const ivo_host_t& host, const char* name) {
    return std::string("charon.plugins.") + host.plugin + '.' + name;
}

std::optional<std::string> Options::text(const char* name) {
    known_.emplace_back(name);
    std::array<char, 256> buffer;
    if (!host_.get_option(&host_, name, buffer.data(), buffer.size())) {
        return std::nullopt;
    }
    return std::string(buffer.data());
}

void Options::reject(const char* name, const std::string& value, const char* range, const char* fallback) const {
    log(host_, IVO_MSG_OPTION_INVALID, key(host_, name).c_str(), value.empty() ? "(empty)" : value.c_str(), range,
        fallback);
}

bool Options::boolean(const char* name, bool fallback) {
    static constexpr std::array kTrue{"yes", "true", "enabled", "1"};
    static constexpr std::array kFalse{"no", "false", "disabled", "0"};

    const auto value = text(name);
    if (!value) {
        return fallback;
    }
    // strongSwan compares these words without regard to case.
    std::string lower = *value;
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    if (std::ranges::find(kTrue, lower) != kTrue.end()) {
        return true;
    }
    if (std::ranges::find(kFalse, lower) != kFalse.end()) {
        return false;
    }
    reject(name, *value, "yes or no", fallback ? "yes" : "no");
    return fallback;
}

void Options::reportUnknown() const {
    // First the names, then the log: visiting holds the lock of charon's settings.
    std::vector<std::string> names;
    host_.visit_options(
        &host_,
        [](void* context, const char* name) { static_cast<std::vector<std::string>*>(context)->emplace_back(name); },
        &names);
    for (const auto& name : names) {
        // 'load' is charon's own: it decides whether the plugin is loaded at all.
        if (name != "load" && std::ranges::find(known_, name) == known_.end()) {
            log(host_, IVO_MSG_OPTION_UNKNOWN, key(host_, name.c_str()).c_str());
        }
    }
}

}  // namespace ivo
