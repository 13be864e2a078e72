/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_abi_guard ivo_abi_guard
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_ABI_GUARD_H_
#define IVO_ABI_GUARD_H_

#include <ivo/abi.h>

/**
 * Compare the strongSwan that a plugin was built for with the one that it runs
 * in; to be called first of all, by the plugin's constructor.
 *
 * strongSwan checks a plugin's version only from 6.0.3 on, and never how its
 * structures were configured. This looks for functions that only a differently
 * configured or a much different libcharon exports, and then uses objects of
 * the running libraries through the layout of the headers, with values to be
 * recognised again. It does so in a forked child, for with another layout
 * that may well crash. At this time charon has no other thread.
 *
 * Cost: one fork, some milliseconds, once.
 *
 * @param plugin		name of the plugin, for the log
 * @return				FALSE if the plugin must not be used; said in the log
 */
bool ivo_abi_guard(const char *plugin);

/**
 * The same for the objects that have to do with IKE_SAs: ike_sa_manager_t,
 * ike_sa_t, child_sa_manager_t, listener_t, message_t. To be called once charon's manager has been
 * created (feature CUSTOM:libcharon-sa-managers), before it has any IKE_SA.
 *
 * @param plugin		name of the plugin, for the log
 * @return				FALSE if the plugin must not be used; said in the log
 */
bool ivo_abi_guard_sas(const char *plugin);

#endif /** IVO_ABI_GUARD_H_ @}*/
