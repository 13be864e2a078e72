/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup managers managers
 * @{ @ingroup differential
 *
 * The managers that are compared.
 */

#ifndef DIFFERENTIAL_MANAGERS_H_
#define DIFFERENTIAL_MANAGERS_H_

#include <sa/ike_sa_manager.h>

typedef struct side_t side_t;

/**
 * One of the two sides of a comparison.
 */
struct side_t {
	/** how output calls it */
	const char *name;
	/** make a manager with the options as they are now, NULL on failure */
	ike_sa_manager_t *(*create)(void);
	/** end what create() made besides the manager, which was flushed and destroyed before; may be NULL */
	void (*clean_up)(void);
	/** calls that it left to charon's own manager so far; may be NULL */
	uint64_t (*delegated_calls)(void);
	/** it does not lower the half-open count for some messages, as 5.9.8: see allowed.h; found out before any run */
	bool leaks_half_open;
};

/** charon's own. */
extern side_t side_stock;

/** Ours. */
extern side_t side_ours;

#endif /** DIFFERENTIAL_MANAGERS_H_ @}*/
