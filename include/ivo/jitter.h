/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file jitter.h
 * The core of ivo-jitter, as the shim sees it.
 */
#ifndef IVO_JITTER_H_
#define IVO_JITTER_H_

#include <ivo/abi.h>
#include <ivo/control.h>
#include <ivo/host.h>

IVO_BEGIN_DECLS

typedef struct ivo_jitter_t ivo_jitter_t;

/** What happens to an SA that has timers to spread. */
typedef enum {
	/** An IKE_SA came up: by a handshake, or as the new SA of a rekeying. */
	IVO_JITTER_IKE_SA_ESTABLISHED,
	/** An IKE_SA was rekeyed, by either side. */
	IVO_JITTER_IKE_SA_REKEYED,
	/** A CHILD_SA was rekeyed, by either side. */
	IVO_JITTER_CHILD_SA_REKEYED,
	IVO_JITTER_EVENTS, /* how many there are */
} ivo_jitter_event_t;

/**
 * Create the core; reads its options and reports bad ones to the host's log.
 *
 * @param host			must outlive the core
 * @return				NULL when out of memory (said in the log)
 */
ivo_jitter_t *ivo_jitter_create(const ivo_host_t *host);

/** Destroy the core. NULL is allowed. */
void ivo_jitter_destroy(ivo_jitter_t *jitter);

/** Read the options again, as `swanctl --reload-settings` asks for. */
void ivo_jitter_reload(ivo_jitter_t *jitter);

/** Something happened to an SA. Called inside a bus hook; one atomic addition. */
void ivo_jitter_event(ivo_jitter_t *jitter, ivo_jitter_event_t event);

/** Answer "stats" with one JSON object. */
void ivo_jitter_stats(const ivo_jitter_t *jitter, ivo_reply_t *reply);

IVO_END_DECLS

#endif /* IVO_JITTER_H_ */
