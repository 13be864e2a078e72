/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_foreign_sas ivo_foreign_sas
 * @{ @ingroup ivo_shim
 *
 * The IKE_SAs that charon's own manager has, because the plugin was switched off
 * when they came.
 */

#ifndef IVO_FOREIGN_SAS_H_
#define IVO_FOREIGN_SAS_H_

#include <sa/ike_sa.h>

typedef struct ivo_foreign_sas_t ivo_foreign_sas_t;

/**
 * Create an empty set.
 */
ivo_foreign_sas_t *ivo_foreign_sas_create(void);

/**
 * Was there ever one? A single load: this is asked often, and mostly in vain.
 */
bool ivo_foreign_sas_used(ivo_foreign_sas_t *this);

/**
 * Add an IKE_SA, if it is not in the set.
 */
void ivo_foreign_sas_add(ivo_foreign_sas_t *this, ike_sa_t *ike_sa);

/**
 * Is an IKE_SA in the set?
 */
bool ivo_foreign_sas_has(ivo_foreign_sas_t *this, ike_sa_t *ike_sa);

/**
 * Take an IKE_SA out.
 *
 * @return			TRUE if it was in the set
 */
bool ivo_foreign_sas_remove(ivo_foreign_sas_t *this, ike_sa_t *ike_sa);

/**
 * Destroy the set, not the IKE_SAs.
 */
void ivo_foreign_sas_destroy(ivo_foreign_sas_t *this);

#endif /** IVO_FOREIGN_SAS_H_ @}*/
