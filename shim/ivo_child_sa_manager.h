/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_child_sa_manager ivo_child_sa_manager
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_CHILD_SA_MANAGER_H_
#define IVO_CHILD_SA_MANAGER_H_

#include <ivo/sessiontable.h>

#include <sa/child_sa_manager.h>

/**
 * Create the CHILD_SA manager that takes the place of charon's own: its
 * CHILD_SAs are in the table of the core.
 *
 * It stays in use while the plugin is switched off, as CHILD_SAs move between
 * IKE_SAs of both managers.
 *
 * @param table			core of the plugin, must outlive the manager
 * @return				manager
 */
child_sa_manager_t *ivo_child_sa_manager_create(ivo_sessiontable_t *table);

#endif /** IVO_CHILD_SA_MANAGER_H_ @}*/
