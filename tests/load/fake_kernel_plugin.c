/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup fake_kernel_plugin fake_kernel_plugin
 *
 * The gateway's kernel in a load test: load-tester's IPsec backend, which takes ESP keys and forgets them, without
 * the rest of load-tester. A gateway that loaded all of it would also get its credentials, which fit any client, its
 * configuration and its bus listener, and would not be the one whose cost we want to know.
 */

#include <daemon.h>
#include <plugins/plugin.h>

#include "load_tester_ipsec.h"

METHOD(plugin_t, get_name, char*,
	plugin_t *this)
{
	return "fake-kernel";
}

METHOD(plugin_t, get_features, int,
	plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK(kernel_ipsec_register, load_tester_ipsec_create),
			PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
	};

	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void,
	plugin_t *this)
{
	free(this);
}

/** asked for by the plugin loader from 6.0.3 on */
const char *fake_kernel_plugin_version = VERSION;

/**
 * Described in the group's comment above.
 */
plugin_t *fake_kernel_plugin_create()
{
	plugin_t *this;

	INIT(this,
		.get_name = _get_name,
		.get_features = _get_features,
		.reload = (void*)return_false,
		.destroy = _destroy,
	);
	return this;
}
