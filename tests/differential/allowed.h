/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup allowed allowed
 * @{ @ingroup differential
 *
 * Where our manager may differ from charon's, and only there. Each has a reason and a test: charon's manager has to
 * show the first behaviour (or the entry is out of date), ours one of those listed. Sequences keep away from all of
 * these, or compare nothing there.
 */

#ifndef DIFFERENTIAL_ALLOWED_H_
#define DIFFERENTIAL_ALLOWED_H_

#include "managers.h"

typedef struct allowed_t allowed_t;

/** Behaviours that an entry can tell apart. */
#define ALLOWED_BEHAVIOURS 2

struct allowed_t {
	/** what it is about */
	const char *what;
	/** why ours may do otherwise */
	const char *reason;
	/** what may be seen: first charon's, then what else ours may do */
	const char *behaviours[ALLOWED_BEHAVIOURS];
	/**
	 * Try it, in a process of its own.
	 *
	 * @return			which of the behaviours, anything else if none
	 */
	int (*test)(const side_t *side);
};

extern const allowed_t allowed[];
extern const int allowed_count;

/** The one about the half-open count, which sequences take into account. */
extern const allowed_t *const allowed_half_open;

/**
 * Try one entry on one side.
 *
 * @return			which of the behaviours, -1 if none of them
 */
int allowed_test(const allowed_t *this, const side_t *side);

#endif /** DIFFERENTIAL_ALLOWED_H_ @}*/
