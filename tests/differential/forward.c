/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "forward.h"

/** Depth of calls of new_initiator_spi() by this thread. */
static __thread int changing_spi;

/* described in header */
bool forward_is_changing_spi(void)
{
	return changing_spi > 0;
}

static inline void count(forward_t *this, method_t method)
{
	if (this->counting)
	{
		coverage_call(method);
	}
}

METHOD(ike_sa_manager_t, create_new, ike_sa_t*,
	forward_t *this, ike_version_t version, bool initiator)
{
	count(this, METHOD_CREATE_NEW);
	return this->manager->create_new(this->manager, version, initiator);
}

METHOD(ike_sa_manager_t, checkout_new, void,
	forward_t *this, ike_sa_t *ike_sa)
{
	count(this, METHOD_CHECKOUT_NEW);
	this->manager->checkout_new(this->manager, ike_sa);
}

METHOD(ike_sa_manager_t, checkout, ike_sa_t*,
	forward_t *this, ike_sa_id_t *id)
{
	count(this, METHOD_CHECKOUT);
	return this->manager->checkout(this->manager, id);
}

METHOD(ike_sa_manager_t, track_init, void,
	forward_t *this, host_t *ip)
{
	count(this, METHOD_TRACK_INIT);
	this->manager->track_init(this->manager, ip);
}

METHOD(ike_sa_manager_t, checkout_by_message, ike_sa_t*,
	forward_t *this, message_t *message)
{
	count(this, METHOD_CHECKOUT_BY_MESSAGE);
	return this->manager->checkout_by_message(this->manager, message);
}

METHOD(ike_sa_manager_t, checkout_by_config, ike_sa_t*,
	forward_t *this, peer_cfg_t *cfg)
{
	count(this, METHOD_CHECKOUT_BY_CONFIG);
	return this->manager->checkout_by_config(this->manager, cfg);
}

METHOD(ike_sa_manager_t, new_initiator_spi, bool,
	forward_t *this, ike_sa_t *ike_sa)
{
	bool changed;

	count(this, METHOD_NEW_INITIATOR_SPI);
	changing_spi++;
	changed = this->manager->new_initiator_spi(this->manager, ike_sa);
	changing_spi--;
	return changed;
}

METHOD(ike_sa_manager_t, check_uniqueness, bool,
	forward_t *this, ike_sa_t *ike_sa, bool force_replace)
{
	count(this, METHOD_CHECK_UNIQUENESS);
	return this->manager->check_uniqueness(this->manager, ike_sa, force_replace);
}

METHOD(ike_sa_manager_t, has_contact, bool,
	forward_t *this, identification_t *me, identification_t *other, int family)
{
	count(this, METHOD_HAS_CONTACT);
	return this->manager->has_contact(this->manager, me, other, family);
}

METHOD(ike_sa_manager_t, checkout_by_id, ike_sa_t*,
	forward_t *this, uint32_t id)
{
	count(this, METHOD_CHECKOUT_BY_ID);
	return this->manager->checkout_by_id(this->manager, id);
}

METHOD(ike_sa_manager_t, checkout_by_name, ike_sa_t*,
	forward_t *this, char *name, bool child)
{
	count(this, METHOD_CHECKOUT_BY_NAME);
	return this->manager->checkout_by_name(this->manager, name, child);
}

METHOD(ike_sa_manager_t, create_enumerator, enumerator_t*,
	forward_t *this, bool wait)
{
	count(this, METHOD_CREATE_ENUMERATOR);
	return this->manager->create_enumerator(this->manager, wait);
}

METHOD(ike_sa_manager_t, create_id_enumerator, enumerator_t*,
	forward_t *this, identification_t *me, identification_t *other, int family)
{
	count(this, METHOD_CREATE_ID_ENUMERATOR);
	return this->manager->create_id_enumerator(this->manager, me, other, family);
}

METHOD(ike_sa_manager_t, checkin, void,
	forward_t *this, ike_sa_t *ike_sa)
{
	count(this, METHOD_CHECKIN);
	this->manager->checkin(this->manager, ike_sa);
}

METHOD(ike_sa_manager_t, checkin_and_destroy, void,
	forward_t *this, ike_sa_t *ike_sa)
{
	count(this, METHOD_CHECKIN_AND_DESTROY);
	this->manager->checkin_and_destroy(this->manager, ike_sa);
}

METHOD(ike_sa_manager_t, get_count, u_int,
	forward_t *this)
{
	count(this, METHOD_GET_COUNT);
	return this->manager->get_count(this->manager);
}

METHOD(ike_sa_manager_t, get_half_open_count, u_int,
	forward_t *this, host_t *ip, bool responder_only)
{
	count(this, METHOD_GET_HALF_OPEN_COUNT);
	return this->manager->get_half_open_count(this->manager, ip, responder_only);
}

METHOD(ike_sa_manager_t, set_spi_cb, void,
	forward_t *this, spi_cb_t callback, void *data)
{
	count(this, METHOD_SET_SPI_CB);
	this->manager->set_spi_cb(this->manager, callback, data);
}

METHOD(ike_sa_manager_t, flush, void,
	forward_t *this)
{
	count(this, METHOD_FLUSH);
	this->manager->flush(this->manager);
}

METHOD(ike_sa_manager_t, destroy, void,
	forward_t *this)
{
	count(this, METHOD_DESTROY);
	this->manager->destroy(this->manager);
	free(this);
}

/* described in header */
void forward_init(forward_t *this, ike_sa_manager_t *manager)
{
	*this = (forward_t){
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
		.manager = manager,
	};
}

/* described in header */
ike_sa_manager_t *forward_create_counting(ike_sa_manager_t *manager)
{
	forward_t *this = malloc(sizeof(*this));

	forward_init(this, manager);
	this->counting = TRUE;
	return &this->public;
}
