/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_log ivo_log
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_LOG_H_
#define IVO_LOG_H_

#include <ivo/messages.h>

/**
 * Write a message of the catalogue to charon's log: ivo_log("ivo-jitter", IVO_MSG_SWITCHED_ON, key).
 *
 * @param plugin		name of the plugin
 * @param name			name of the message
 * @param level			charon's log level
 * @param format		printf format, strongSwan's extensions not included
 */
void ivo_log(const char *plugin, const char *name, int level,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif /** IVO_LOG_H_ @}*/
