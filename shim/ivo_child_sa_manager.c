/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_address.h"
#include "ivo_child_sa_manager.h"

#include <daemon.h>
#include <sa/child_sa.h>

typedef struct private_ivo_child_sa_manager_t private_ivo_child_sa_manager_t;

/**
 * Private data of the manager
 */
struct private_ivo_child_sa_manager_t {

	/**
	 * Public interface
	 */
	child_sa_manager_t public;

	/**
	 * Core of the plugin: the table
	 */
	ivo_sessiontable_t *table;
};

/**
 * The client's address inside the tunnel: its virtual IP, which is also its
 * traffic selector, or a traffic selector of a single address
 */
static ivo_address_t inner_address(child_sa_t *child_sa)
{
	ivo_address_t address = {};
	enumerator_t *enumerator;
	traffic_selector_t *ts;
	host_t *net;
	uint8_t mask;

	enumerator = child_sa->create_ts_enumerator(child_sa, FALSE);
	while (!address.length && enumerator->enumerate(enumerator, &ts))
	{
		if (ts->is_host(ts, NULL) && ts->to_subnet(ts, &net, &mask))
		{
			address = ivo_address_of(net);
			net->destroy(net);
		}
	}
	enumerator->destroy(enumerator);
	return address;
}

METHOD(child_sa_manager_t, add, void,
	private_ivo_child_sa_manager_t *this, child_sa_t *child_sa,
	ike_sa_t *ike_sa)
{
	host_t *other = ike_sa->get_other_host(ike_sa);
	ivo_child_sa_t child = {
		.unique_id = child_sa->get_unique_id(child_sa),
		.ike_unique_id = ike_sa->get_unique_id(ike_sa),
		.spi_in = child_sa->get_spi(child_sa, TRUE),
		.spi_out = child_sa->get_spi(child_sa, FALSE),
		.protocol = (uint8_t)child_sa->get_protocol(child_sa),
		.local = ivo_address_of(ike_sa->get_my_host(ike_sa)),
		.remote = ivo_address_of(other),
		.remote_port = other->get_port(other),
		.inner = inner_address(child_sa),
		.now = (uint32_t)time_monotonic(NULL),
	};

	if (!ivo_sessiontable_add_child(this->table, &child))
	{
		DBG1(DBG_MGR, "out of memory, kernel events for CHILD_SA %s{%u} will "
			 "be ignored", child_sa->get_name(child_sa), child.unique_id);
	}
}

METHOD(child_sa_manager_t, remove_, void,
	private_ivo_child_sa_manager_t *this, child_sa_t *child_sa)
{
	ivo_sessiontable_remove_child(this->table,
								  child_sa->get_unique_id(child_sa));
}

/**
 * Check out the IKE_SA of a CHILD_SA
 */
static ike_sa_t *checkout_ike_sa(const ivo_child_t *child,
								 child_sa_t **child_sa)
{
	enumerator_t *enumerator;
	child_sa_t *current;
	ike_sa_t *ike_sa;
	bool found = FALSE;

	ike_sa = charon->ike_sa_manager->checkout_by_id(charon->ike_sa_manager,
													child->ike_unique_id);
	if (!ike_sa)
	{
		return NULL;
	}
	/* it may have gone, or moved on, while we waited */
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &current))
	{
		found = current->get_unique_id(current) == child->unique_id;
	}
	enumerator->destroy(enumerator);
	if (!found)
	{
		charon->ike_sa_manager->checkin(charon->ike_sa_manager, ike_sa);
		return NULL;
	}
	if (child_sa)
	{
		*child_sa = current;
	}
	return ike_sa;
}

METHOD(child_sa_manager_t, checkout_by_id, ike_sa_t*,
	private_ivo_child_sa_manager_t *this, uint32_t unique_id,
	child_sa_t **child_sa)
{
	ivo_child_t child;

	if (!ivo_sessiontable_find_child_by_id(this->table, unique_id, &child))
	{
		return NULL;
	}
	return checkout_ike_sa(&child, child_sa);
}

METHOD(child_sa_manager_t, checkout, ike_sa_t*,
	private_ivo_child_sa_manager_t *this, protocol_id_t protocol, uint32_t spi,
	host_t *dst, child_sa_t **child_sa)
{
	ivo_address_t destination = ivo_address_of(dst);
	ivo_child_t child;

	if (!ivo_sessiontable_find_child(this->table, (uint8_t)protocol, spi,
									 &destination, &child))
	{
		return NULL;
	}
	return checkout_ike_sa(&child, child_sa);
}

METHOD(child_sa_manager_t, destroy, void,
	private_ivo_child_sa_manager_t *this)
{
	free(this);
}

/*
 * Described in header.
 */
child_sa_manager_t *ivo_child_sa_manager_create(ivo_sessiontable_t *table)
{
	private_ivo_child_sa_manager_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.checkout = _checkout,
			.checkout_by_id = _checkout_by_id,
			.destroy = _destroy,
		},
		.table = table,
	);
	return &this->public;
}
