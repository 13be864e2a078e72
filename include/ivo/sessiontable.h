/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file sessiontable.h
 * The core of ivo-sessiontable, as the shim sees it.
 */
#ifndef IVO_SESSIONTABLE_H_
#define IVO_SESSIONTABLE_H_

#include <ivo/abi.h>
#include <ivo/control.h>
#include <ivo/host.h>

IVO_BEGIN_DECLS

typedef struct ivo_sessiontable_t ivo_sessiontable_t;

/** The methods of charon's IKE_SA manager but destroy(), in the order of its header (strongSwan 5.9.8 to 6.1.0). */
typedef enum {
	IVO_MANAGER_CREATE_NEW,
	IVO_MANAGER_CHECKOUT_NEW,
	IVO_MANAGER_CHECKOUT,
	IVO_MANAGER_TRACK_INIT,
	IVO_MANAGER_CHECKOUT_BY_MESSAGE,
	IVO_MANAGER_CHECKOUT_BY_CONFIG,
	IVO_MANAGER_NEW_INITIATOR_SPI,
	IVO_MANAGER_CHECK_UNIQUENESS,
	IVO_MANAGER_HAS_CONTACT,
	IVO_MANAGER_CHECKOUT_BY_ID,
	IVO_MANAGER_CHECKOUT_BY_NAME,
	IVO_MANAGER_CREATE_ENUMERATOR,
	IVO_MANAGER_CREATE_ID_ENUMERATOR,
	IVO_MANAGER_CHECKIN,
	IVO_MANAGER_CHECKIN_AND_DESTROY,
	IVO_MANAGER_GET_COUNT,
	IVO_MANAGER_GET_HALF_OPEN_COUNT,
	IVO_MANAGER_SET_SPI_CB,
	IVO_MANAGER_FLUSH,
	IVO_MANAGER_METHODS, /* how many there are */
} ivo_manager_method_t;

/**
 * Create the core; reads its options and reports bad ones to the host's log.
 *
 * @param host			must outlive the core
 * @return				NULL when out of memory (said in the log)
 */
ivo_sessiontable_t *ivo_sessiontable_create(const ivo_host_t *host);

/** Destroy the core. NULL is allowed. */
void ivo_sessiontable_destroy(ivo_sessiontable_t *table);

/** Read the options again, as `swanctl --reload-settings` asks for. */
void ivo_sessiontable_reload(ivo_sessiontable_t *table);

/**
 * Count a call of a manager's method that charon's own manager is about to serve: as delegated while the plugin is
 * switched on, as bypassed while it is off. Any thread; one atomic addition.
 */
void ivo_sessiontable_count_call(ivo_sessiontable_t *table, ivo_manager_method_t method);

/** Calls delegated to charon's manager so far, all methods together. */
uint64_t ivo_sessiontable_delegated_calls(const ivo_sessiontable_t *table);

/** Calls passed on while the plugin was switched off. */
uint64_t ivo_sessiontable_bypassed_calls(const ivo_sessiontable_t *table);

/**
 * Answer "stats" with one JSON object.
 *
 * @param ike_sas		IKE_SAs that the manager holds
 * @param half_open		those of them that are half-open
 */
void ivo_sessiontable_stats(const ivo_sessiontable_t *table, uint32_t ike_sas, uint32_t half_open,
							ivo_reply_t *reply);

IVO_END_DECLS

#endif /* IVO_SESSIONTABLE_H_ */
