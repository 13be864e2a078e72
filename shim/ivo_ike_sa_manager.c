/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_ike_sa_manager.h"

#include <library.h>

typedef struct private_ivo_ike_sa_manager_t private_ivo_ike_sa_manager_t;

/**
 * Private data of the manager
 */
struct private_ivo_ike_sa_manager_t {

	/**
	 * Public interface
	 */
	ike_sa_manager_t public;

	/**
	 * Core of the plugin
	 */
	ivo_sessiontable_t *table;

	/**
	 * charon's own manager
	 */
	ike_sa_manager_t *stock;
};

/**
 * charon's own manager, for a call that it is to serve
 */
static ike_sa_manager_t *delegate(private_ivo_ike_sa_manager_t *this,
								  ivo_manager_method_t method)
{
	ivo_sessiontable_count_call(this->table, method);
	return this->stock;
}

METHOD(ike_sa_manager_t, create_new, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, ike_version_t version, bool initiator)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CREATE_NEW);

	return stock->create_new(stock, version, initiator);
}

METHOD(ike_sa_manager_t, checkout_new, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_NEW);

	stock->checkout_new(stock, ike_sa);
}

METHOD(ike_sa_manager_t, checkout, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, ike_sa_id_t *ike_sa_id)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT);

	return stock->checkout(stock, ike_sa_id);
}

METHOD(ike_sa_manager_t, track_init, void,
	private_ivo_ike_sa_manager_t *this, host_t *ip)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_TRACK_INIT);

	stock->track_init(stock, ip);
}

METHOD(ike_sa_manager_t, checkout_by_message, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, message_t *message)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_MESSAGE);

	return stock->checkout_by_message(stock, message);
}

METHOD(ike_sa_manager_t, checkout_by_config, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, peer_cfg_t *peer_cfg)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_CONFIG);

	return stock->checkout_by_config(stock, peer_cfg);
}

METHOD(ike_sa_manager_t, new_initiator_spi, bool,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_NEW_INITIATOR_SPI);

	return stock->new_initiator_spi(stock, ike_sa);
}

METHOD(ike_sa_manager_t, check_uniqueness, bool,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa, bool force_replace)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECK_UNIQUENESS);

	return stock->check_uniqueness(stock, ike_sa, force_replace);
}

METHOD(ike_sa_manager_t, has_contact, bool,
	private_ivo_ike_sa_manager_t *this, identification_t *me,
	identification_t *other, int family)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_HAS_CONTACT);

	return stock->has_contact(stock, me, other, family);
}

METHOD(ike_sa_manager_t, checkout_by_id, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, uint32_t id)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_ID);

	return stock->checkout_by_id(stock, id);
}

METHOD(ike_sa_manager_t, checkout_by_name, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, char *name, bool child)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_NAME);

	return stock->checkout_by_name(stock, name, child);
}

METHOD(ike_sa_manager_t, create_enumerator, enumerator_t*,
	private_ivo_ike_sa_manager_t *this, bool wait)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CREATE_ENUMERATOR);

	return stock->create_enumerator(stock, wait);
}

METHOD(ike_sa_manager_t, create_id_enumerator, enumerator_t*,
	private_ivo_ike_sa_manager_t *this, identification_t *me,
	identification_t *other, int family)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CREATE_ID_ENUMERATOR);

	return stock->create_id_enumerator(stock, me, other, family);
}

METHOD(ike_sa_manager_t, checkin, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKIN);

	stock->checkin(stock, ike_sa);
}

METHOD(ike_sa_manager_t, checkin_and_destroy, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKIN_AND_DESTROY);

	stock->checkin_and_destroy(stock, ike_sa);
}

METHOD(ike_sa_manager_t, get_count, u_int,
	private_ivo_ike_sa_manager_t *this)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_GET_COUNT);

	return stock->get_count(stock);
}

METHOD(ike_sa_manager_t, get_half_open_count, u_int,
	private_ivo_ike_sa_manager_t *this, host_t *ip, bool responder_only)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_GET_HALF_OPEN_COUNT);

	return stock->get_half_open_count(stock, ip, responder_only);
}

METHOD(ike_sa_manager_t, set_spi_cb, void,
	private_ivo_ike_sa_manager_t *this, spi_cb_t callback, void *data)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_SET_SPI_CB);

	stock->set_spi_cb(stock, callback, data);
}

METHOD(ike_sa_manager_t, flush, void,
	private_ivo_ike_sa_manager_t *this)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_FLUSH);

	stock->flush(stock);
}

METHOD(ike_sa_manager_t, destroy, void,
	private_ivo_ike_sa_manager_t *this)
{
	free(this);
}

/*
 * Described in header.
 */
ike_sa_manager_t *ivo_ike_sa_manager_create(ivo_sessiontable_t *table,
											ike_sa_manager_t *stock)
{
	private_ivo_ike_sa_manager_t *this;

	INIT(this,
		.public = {
			.create_new = _create_new,
			.checkout_new = _checkout_new,
			.checkout = _checkout,
			.track_init = _track_init,
			.checkout_by_message = _checkout_by_message,
			.checkout_by_config = _checkout_by_config,
			.new_initiator_spi = _new_initiator_spi,
			.check_uniqueness = _check_uniqueness,
			.has_contact = _has_contact,
			.checkout_by_id = _checkout_by_id,
			.checkout_by_name = _checkout_by_name,
			.create_enumerator = _create_enumerator,
			.create_id_enumerator = _create_id_enumerator,
			.checkin = _checkin,
			.checkin_and_destroy = _checkin_and_destroy,
			.get_count = _get_count,
			.get_half_open_count = _get_half_open_count,
			.set_spi_cb = _set_spi_cb,
			.flush = _flush,
			.destroy = _destroy,
		},
		.table = table,
		.stock = stock,
	);

	return &this->public;
}
