// SPDX-License-Identifier: GPL-2.0-or-later
#include "adaptive_nat.h"

#include "common/options.h"

namespace ivo {

AdaptiveNat::AdaptiveNat(const ivo_host_t& host) : host_(host), enabled_(host) {
    reload();
}

void AdaptiveNat::reload() {
    Options options(host_);
    enabled_.update(options);
    options.reportUnknown();
}

void AdaptiveNat::heard() {
    if (enabled_.on()) {
        authenticatedMessages_.raise();
    }
}

nlohmann::ordered_json AdaptiveNat::describe() const {
    return {
        {"plugin", host_.plugin},
        {"version", IVO_VERSION},
        {"enabled", enabled_.on()},
        {"authenticated_messages", authenticatedMessages_.value()},
    };
}

}  // namespace ivo
