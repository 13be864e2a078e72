// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/host.h>

#include <optional>
#include <string>
#include <vector>

namespace ivo {

/// Reads a plugin's options for one load or reload. A bad value is named in the log with its range, and the default
/// taken. Read every option that the plugin has, then call reportUnknown().
class Options {
public:
    /// @param host  must outlive this object
    explicit Options(const ivo_host_t& host) : host_(host) {}

    /// A truth value as strongSwan writes it: yes/no, true/false, enabled/disabled, 1/0.
    bool boolean(const char* name, bool fallback);

    /// Log each option of the plugin's section that was never asked for.
    void reportUnknown() const;

    /// The option's whole key, for messages: "charon.plugins.<plugin>.<name>".
    static std::string key(const ivo_host_t& host, const char* name);

private:
    std::optional<std::string> text(const char* name);
    void reject(const char* name, const std::string& value, const char* range, const char* fallback) const;

    const ivo_host_t& host_;
    std::vector<std::string> known_;
};

}  // namespace ivo
