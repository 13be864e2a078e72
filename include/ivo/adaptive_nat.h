/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file adaptive_nat.h
 * The core of ivo-adaptive-nat, as the shim sees it.
 */
#ifndef IVO_ADAPTIVE_NAT_H_
#define IVO_ADAPTIVE_NAT_H_

#include <ivo/abi.h>
#include <ivo/control.h>
#include <ivo/host.h>

IVO_BEGIN_DECLS

typedef struct ivo_adaptive_nat_t ivo_adaptive_nat_t;

/**
 * Create the core; reads its options and reports bad ones to the host's log.
 *
 * @param host			must outlive the core
 * @return				NULL when out of memory (said in the log)
 */
ivo_adaptive_nat_t *ivo_adaptive_nat_create(const ivo_host_t *host);

/** Destroy the core. NULL is allowed. */
void ivo_adaptive_nat_destroy(ivo_adaptive_nat_t *nat);

/** Read the options again, as `swanctl --reload-settings` asks for. */
void ivo_adaptive_nat_reload(ivo_adaptive_nat_t *nat);

/**
 * A peer was heard: a fresh IKE message passed its integrity check. Never called for IKE_SA_INIT, which anybody can
 * forge. Called inside a bus hook; one atomic addition.
 */
void ivo_adaptive_nat_heard(ivo_adaptive_nat_t *nat);

/** Answer "stats" with one JSON object. */
void ivo_adaptive_nat_stats(const ivo_adaptive_nat_t *nat, ivo_reply_t *reply);

IVO_END_DECLS

#endif /* IVO_ADAPTIVE_NAT_H_ */
