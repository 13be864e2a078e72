/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_shim ivo_shim
 *
 * The only code of the plugin set that includes strongSwan's headers. It
 * translates between charon and the cores of the plugins, and decides nothing.
 *
 * @defgroup ivo_plugin ivo_plugin
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_PLUGIN_H_
#define IVO_PLUGIN_H_

#include <plugins/plugin.h>

/**
 * Begin the constructor of a plugin. From strongSwan 6.0.3 on a plugin also has
 * a symbol with the version that it was built for, which charon compares.
 */
#ifdef PLUGIN_DEFINE
#define IVO_PLUGIN_DEFINE(name) PLUGIN_DEFINE(name)
#else
#define IVO_PLUGIN_DEFINE(name) plugin_t *name##_plugin_create()
#endif

#endif /** IVO_PLUGIN_H_ @}*/
