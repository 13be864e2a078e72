/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup plants plants
 * @{ @ingroup differential
 *
 * Managers with a bug: charon's own behind a wrapper that does one thing wrong. The harness has to catch each of them,
 * or it would not catch that bug in ours either.
 */

#ifndef DIFFERENTIAL_PLANTS_H_
#define DIFFERENTIAL_PLANTS_H_

#include "managers.h"

typedef struct plant_t plant_t;

struct plant_t {
	/** the side to compare, with the plant's name */
	side_t side;
	/** what is wrong with it, in a sentence */
	const char *bug;
	/** seeds, counted from 1, of which one has to show the bug */
	int seeds;
};

extern plant_t plants[];
extern const int plant_count;

/**
 * Find a plant by name, NULL if there is none.
 */
plant_t *plant_find(const char *name);

#endif /** DIFFERENTIAL_PLANTS_H_ @}*/
