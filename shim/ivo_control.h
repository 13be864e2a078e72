/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_control_service ivo_control
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_CONTROL_SHIM_H_
#define IVO_CONTROL_SHIM_H_

#include <ivo/control.h>

/**
 * Join the plugins that share a control socket: find the registry, or host it.
 *
 * Called when a plugin's feature is registered. Failure to open the socket is
 * said in the log and does not keep the plugin from working.
 *
 * Let go of it with its method release().
 *
 * @param plugin		name of the joining plugin, for the log
 * @return				registry, NULL if there is none to use
 */
ivo_control_t *ivo_control_join(const char *plugin);

#endif /** IVO_CONTROL_SHIM_H_ @}*/
