/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file host.h
 * What a plugin core is given by whoever hosts it: the shim inside charon, a fake in a unit test.
 */
#ifndef IVO_HOST_H_
#define IVO_HOST_H_

#include <ivo/abi.h>

IVO_BEGIN_DECLS

typedef struct ivo_host_t ivo_host_t;

/** Receives one option's key, below the plugin's own section. */
typedef void (*ivo_option_visitor_t)(void *context, const char *name);

/**
 * Functions that a core may call. The table belongs to the host and outlives the core.
 * Any thread may call them; they take no lock that a bus hook could wait for.
 */
struct ivo_host_t {

	/** Name of the plugin, e.g. "ivo-jitter"; its options stand below charon.plugins.<plugin>. */
	const char *plugin;

	/**
	 * Copy the text of an option of this plugin.
	 *
	 * @param name		name below the plugin's section, e.g. "enabled"
	 * @param text		receives the text, terminated, cut at size
	 * @param size		size of text, > 0
	 * @return			false if the option is not set
	 */
	bool (*get_option)(const ivo_host_t *host, const char *name, char *text, size_t size);

	/** Visit the name of each option that is set in this plugin's section. */
	void (*visit_options)(const ivo_host_t *host, ivo_option_visitor_t visit, void *context);

	/**
	 * Write a line to the daemon's log.
	 *
	 * @param name		message name of the catalogue (messages.h)
	 * @param level		charon's level
	 * @param text		the text, without plugin and message name
	 */
	void (*log)(const ivo_host_t *host, const char *name, int level, const char *text);
};

IVO_END_DECLS

#endif /* IVO_HOST_H_ */
