// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of ivo-adaptive-nat: <ivo/adaptive_nat.h> in terms of AdaptiveNat.
#include "adaptive_nat.h"
#include "common/boundary.h"

ivo_adaptive_nat_t* ivo_adaptive_nat_create(const ivo_host_t* host) {
    return ivo::createCore<ivo_adaptive_nat_t>(*host);
}

void ivo_adaptive_nat_destroy(ivo_adaptive_nat_t* nat) {
    delete nat;
}

void ivo_adaptive_nat_reload(ivo_adaptive_nat_t* nat) {
    ivo::reloadCore(*nat);
}

void ivo_adaptive_nat_heard(ivo_adaptive_nat_t* nat) {
    nat->heard();
}

void ivo_adaptive_nat_stats(const ivo_adaptive_nat_t* nat, ivo_reply_t* reply) {
    ivo::answer(*reply, [&] { return nat->describe(); });
}
