/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ivo-adaptive-nat as a plugin of charon: tells its core when a peer was heard.
 */

#include "ivo_abi_guard.h"
#include "ivo_control.h"
#include "ivo_host.h"
#include "ivo_log.h"
#include "ivo_plugin.h"

#include <daemon.h>
#include <ivo/adaptive_nat.h>

#define PLUGIN_NAME "ivo-adaptive-nat"

typedef struct private_ivo_adaptive_nat_plugin_t private_ivo_adaptive_nat_plugin_t;

/**
 * Private data of the plugin
 */
struct private_ivo_adaptive_nat_plugin_t {

	/**
	 * Public interface
	 */
	plugin_t public;

	/**
	 * Events of charon
	 */
	listener_t listener;

	/**
	 * What the core gets from charon
	 */
	ivo_host_t host;

	/**
	 * Core of the plugin
	 */
	ivo_adaptive_nat_t *nat;

	/**
	 * Registry of control commands
	 */
	ivo_control_t *control;
};

/**
 * Get the plugin that a listener belongs to
 */
static private_ivo_adaptive_nat_plugin_t *from_listener(listener_t *listener)
{
	return (private_ivo_adaptive_nat_plugin_t*)((char*)listener -
						offsetof(private_ivo_adaptive_nat_plugin_t, listener));
}

/**
 * Check if a message that charon accepted proves that its sender has the keys.
 * IKE_SA_INIT does not, nor does IKEv1 before the SA is up: its first messages
 * are in the clear.
 */
static bool is_authenticated(ike_sa_t *ike_sa, message_t *message)
{
	if (ike_sa->get_version(ike_sa) == IKEV2)
	{
		return message->get_exchange_type(message) != IKE_SA_INIT;
	}
	return ike_sa->get_state(ike_sa) == IKE_ESTABLISHED;
}

/**
 * listener_t.message: a plain incoming message has passed its integrity check
 * and its message ID is the expected one, so it is not a replay
 */
static bool message(listener_t *listener, ike_sa_t *ike_sa, message_t *message,
					bool incoming, bool plain)
{
	private_ivo_adaptive_nat_plugin_t *this = from_listener(listener);

	if (incoming && plain && is_authenticated(ike_sa, message))
	{
		ivo_adaptive_nat_heard(this->nat);
	}
	return TRUE;
}

/**
 * Command "stats"
 */
static void stats(void *context, size_t count, const char *const words[],
				  ivo_reply_t *reply)
{
	private_ivo_adaptive_nat_plugin_t *this = context;

	ivo_adaptive_nat_stats(this->nat, reply);
}

/**
 * Start to listen
 */
static bool start(private_ivo_adaptive_nat_plugin_t *this)
{
	if (!ivo_abi_guard_sas(PLUGIN_NAME))
	{
		return FALSE;
	}
	this->nat = ivo_adaptive_nat_create(&this->host);
	if (!this->nat)
	{
		return FALSE;
	}
	charon->bus->add_listener(charon->bus, &this->listener);
	this->control = ivo_control_join(PLUGIN_NAME);
	if (this->control)
	{
		this->control->add_command(this->control, "stats", stats, this);
	}
	return TRUE;
}

/**
 * Stop listening
 */
static void stop(private_ivo_adaptive_nat_plugin_t *this)
{
	if (this->control)
	{
		this->control->remove_commands(this->control, this);
		this->control->release(this->control);
		this->control = NULL;
	}
	charon->bus->remove_listener(charon->bus, &this->listener);
	ivo_adaptive_nat_destroy(this->nat);
	this->nat = NULL;
}

/**
 * Feature callback
 */
static bool listen_cb(private_ivo_adaptive_nat_plugin_t *this,
					  plugin_feature_t *feature, bool reg, void *data)
{
	if (reg)
	{
		return start(this);
	}
	stop(this);
	return TRUE;
}

METHOD(plugin_t, get_name, char*,
	private_ivo_adaptive_nat_plugin_t *this)
{
	return PLUGIN_NAME;
}

METHOD(plugin_t, get_features, int,
	private_ivo_adaptive_nat_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)listen_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, PLUGIN_NAME),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, reload, bool,
	private_ivo_adaptive_nat_plugin_t *this)
{
	if (this->nat)
	{
		ivo_adaptive_nat_reload(this->nat);
	}
	return TRUE;
}

METHOD(plugin_t, destroy, void,
	private_ivo_adaptive_nat_plugin_t *this)
{
	free(this);
}

/**
 * Plugin constructor
 */
IVO_PLUGIN_DEFINE(ivo_adaptive_nat)
{
	private_ivo_adaptive_nat_plugin_t *this;

	if (!ivo_abi_guard(PLUGIN_NAME))
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.get_name = _get_name,
			.get_features = _get_features,
			.reload = _reload,
			.destroy = _destroy,
		},
		.listener = {
			.message = message,
		},
	);
	ivo_host_init(&this->host, PLUGIN_NAME);

	return &this->public;
}
