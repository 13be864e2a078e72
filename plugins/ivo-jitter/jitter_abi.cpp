// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of ivo-jitter: <ivo/jitter.h> in terms of Jitter.
#include "common/boundary.h"
#include "jitter.h"

ivo_jitter_t* ivo_jitter_create(const ivo_host_t* host) {
    return ivo::createCore<ivo_jitter_t>(*host);
}

void ivo_jitter_destroy(ivo_jitter_t* jitter) {
    delete jitter;
}

void ivo_jitter_reload(ivo_jitter_t* jitter) {
    ivo::reloadCore(*jitter);
}

void ivo_jitter_event(ivo_jitter_t* jitter, ivo_jitter_event_t event) {
    jitter->event(event);
}

void ivo_jitter_stats(const ivo_jitter_t* jitter, ivo_reply_t* reply) {
    ivo::answer(*reply, [&] { return jitter->describe(); });
}
