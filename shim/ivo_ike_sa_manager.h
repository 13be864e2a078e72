/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_ike_sa_manager ivo_ike_sa_manager
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_IKE_SA_MANAGER_H_
#define IVO_IKE_SA_MANAGER_H_

#include <ivo/sessiontable.h>

#include <sa/ike_sa_manager.h>

/**
 * Create the IKE_SA manager that takes the place of charon's own.
 *
 * All IKE_SAs are in the table of the core. While the plugin is switched off,
 * those that come go to charon's own manager instead and stay there until they
 * go; calls that reach it are counted. flush() flushes it, too, destroy()
 * leaves it alone.
 *
 * @param table			core of the plugin, must outlive the manager
 * @param stock			charon's own manager, must outlive the manager
 * @return				manager, NULL if there is no generator for SPIs
 */
ike_sa_manager_t *ivo_ike_sa_manager_create(ivo_sessiontable_t *table,
											ike_sa_manager_t *stock);

#endif /** IVO_IKE_SA_MANAGER_H_ @}*/
