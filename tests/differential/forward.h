/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup forward forward
 * @{ @ingroup differential
 *
 * A manager that passes everything on to another one: to count the calls, those that charon's own code makes included,
 * or to replace some methods.
 */

#ifndef DIFFERENTIAL_FORWARD_H_
#define DIFFERENTIAL_FORWARD_H_

#include <sa/ike_sa_manager.h>

#include "coverage.h"

typedef struct forward_t forward_t;

struct forward_t {
	/** what callers see */
	ike_sa_manager_t public;
	/** what does the work */
	ike_sa_manager_t *manager;
	/** count the calls for the report */
	bool counting;
};

/**
 * Pass all methods on. The object has to be allocated: destroy() frees it, and destroys the other manager.
 */
void forward_init(forward_t *this, ike_sa_manager_t *manager);

/**
 * Put one before a manager that only counts.
 */
ike_sa_manager_t *forward_create_counting(ike_sa_manager_t *manager);

/**
 * Is the calling thread in new_initiator_spi() of any of these?
 */
bool forward_is_changing_spi(void);

#endif /** DIFFERENTIAL_FORWARD_H_ @}*/
