// SPDX-License-Identifier: GPL-2.0-or-later
#include "jitter.h"

#include "common/options.h"

namespace ivo {

Jitter::Jitter(const ivo_host_t& host) : host_(host), enabled_(host) {
    reload();
}

void Jitter::reload() {
    Options options(host_);
    enabled_.update(options);
    options.reportUnknown();
}

void Jitter::event(ivo_jitter_event_t event) {
    if (enabled_.on()) {
        events_[event].raise();
    }
}

nlohmann::ordered_json Jitter::describe() const {
    return {
        {"plugin", host_.plugin},
        {"version", IVO_VERSION},
        {"enabled", enabled_.on()},
        {"ike_sas_established", events_[IVO_JITTER_IKE_SA_ESTABLISHED].value()},
        {"ike_sas_rekeyed", events_[IVO_JITTER_IKE_SA_REKEYED].value()},
        {"child_sas_rekeyed", events_[IVO_JITTER_CHILD_SA_REKEYED].value()},
    };
}

}  // namespace ivo
