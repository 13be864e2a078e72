// SPDX-License-Identifier: GPL-2.0-or-later
#include "switch.h"

#include "log.h"
#include "options.h"

namespace ivo {

void Switch::update(Options& options) {
    const bool on = options.boolean("enabled", true);
    if (on_.exchange(on, std::memory_order_relaxed) == on) {
        return;
    }
    const auto key = Options::key(host_, "enabled");
    if (on) {
        log(host_, IVO_MSG_SWITCHED_ON, key.c_str());
    } else {
        log(host_, IVO_MSG_SWITCHED_OFF, key.c_str());
    }
}

}  // namespace ivo
