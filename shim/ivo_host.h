/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_host ivo_host
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_HOST_SHIM_H_
#define IVO_HOST_SHIM_H_

#include <ivo/host.h>

/**
 * Fill in what charon gives to the core of a plugin: options of strongswan.conf
 * and the log.
 *
 * @param host			table to fill in
 * @param plugin		name of the plugin, not copied
 */
void ivo_host_init(ivo_host_t *host, const char *plugin);

#endif /** IVO_HOST_SHIM_H_ @}*/
