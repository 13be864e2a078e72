/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "plants.h"

#include <pthread.h>
#include <unistd.h>

#include <collections/linked_list.h>
#include <daemon.h>

#include "forward.h"

typedef struct planted_t planted_t;

/** IDs and SAs that a plant keeps. */
#define KEPT 64

/**
 * A manager with a bug. Each uses what it needs of this.
 */
struct planted_t {
	forward_t forward;
	/** protects the rest */
	pthread_mutex_t mutex;
	/** SAs that are checked out by ID or by message */
	ike_sa_t *held[KEPT];
	/** an ID, and what stands for it now */
	ike_sa_id_t *old_id;
	ike_sa_id_t *new_id;
	/** message ID that came last for each SA, and for which */
	uint32_t message_ids[KEPT];
	uint32_t unique_ids[KEPT];
	/** counts up */
	u_int count;
};

/**
 * The planted manager behind a public pointer, and charon's behind that.
 */
#define PLANTED(public) ((planted_t*)(public))
#define STOCK(public) (((forward_t*)(public))->manager)

/**
 * Never come back, like a thread whose wake-up got lost.
 */
static void hang(void)
{
	while (TRUE)
	{
		pause();
	}
}

static planted_t *plant(void)
{
	planted_t *this = calloc(1, sizeof(*this));

	forward_init(&this->forward, ike_sa_manager_create());
	pthread_mutex_init(&this->mutex, NULL);
	return this;
}

/**
 * Make a planted manager that replaces one method.
 */
#define CREATE_PLANT(name, method) \
	static ike_sa_manager_t *create_##name(void) \
	{ \
		planted_t *this = plant(); \
		this->forward.public.method = name; \
		return &this->forward.public; \
	}

/**
 * Collect the SAs that nobody has.
 */
static linked_list_t *free_sas(ike_sa_manager_t *manager)
{
	linked_list_t *list = linked_list_create();
	ike_sa_t *bus = charon->bus->get_sa(charon->bus), *ike_sa;
	enumerator_t *enumerator;

	enumerator = manager->create_enumerator(manager, FALSE);
	while (enumerator->enumerate(enumerator, &ike_sa))
	{
		list->insert_last(list, ike_sa);
	}
	enumerator->destroy(enumerator);
	charon->bus->set_sa(charon->bus, bus);
	return list;
}

/*
 * Looking up
 */

static ike_sa_t *zero_responder_spi(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	if (!id->get_responder_spi(id))
	{
		charon->bus->set_sa(charon->bus, NULL);
		return NULL;
	}
	return STOCK(this)->checkout(STOCK(this), id);
}
CREATE_PLANT(zero_responder_spi, checkout)

static ike_sa_t *role_ignored(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	ike_sa_t *ike_sa = STOCK(this)->checkout(STOCK(this), id);

	if (!ike_sa)
	{
		id = id->clone(id);
		id->switch_initiator(id);
		ike_sa = STOCK(this)->checkout(STOCK(this), id);
		id->destroy(id);
	}
	return ike_sa;
}
CREATE_PLANT(role_ignored, checkout)

static ike_sa_t *oldest_of_equals(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	ike_sa_t *ike_sa, *oldest = NULL;
	linked_list_t *list = free_sas(STOCK(this));
	uint32_t unique_id = 0;

	while (list->remove_first(list, (void**)&ike_sa) == SUCCESS)
	{
		ike_sa_id_t *other = ike_sa->get_id(ike_sa);

		if (other->get_initiator_spi(other) == id->get_initiator_spi(id) &&
			other->is_initiator(other) == id->is_initiator(id) &&
			other->get_ike_version(other) == id->get_ike_version(id) &&
			(!id->get_responder_spi(id) || other->equals(other, id)) &&
			(!oldest || ike_sa->get_unique_id(ike_sa) < unique_id))
		{
			oldest = ike_sa;
			unique_id = ike_sa->get_unique_id(ike_sa);
		}
	}
	list->destroy(list);
	/* by the pair of SPIs there is no doubt */
	if (oldest && !id->get_responder_spi(id))
	{
		return STOCK(this)->checkout(STOCK(this), oldest->get_id(oldest));
	}
	return STOCK(this)->checkout(STOCK(this), id);
}
CREATE_PLANT(oldest_of_equals, checkout)

static ike_sa_t *by_id_finds_another(ike_sa_manager_t *this, uint32_t unique_id)
{
	ike_sa_t *ike_sa = STOCK(this)->checkout_by_id(STOCK(this), unique_id);
	linked_list_t *list;

	if (!ike_sa)
	{
		list = free_sas(STOCK(this));
		if (list->get_first(list, (void**)&ike_sa) == SUCCESS)
		{
			ike_sa = STOCK(this)->checkout(STOCK(this), ike_sa->get_id(ike_sa));
		}
		list->destroy(list);
	}
	return ike_sa;
}
CREATE_PLANT(by_id_finds_another, checkout_by_id)

static ike_sa_t *by_name_confuses_children(ike_sa_manager_t *this, char *name, bool child __attribute__((unused)))
{
	return STOCK(this)->checkout_by_name(STOCK(this), name, FALSE);
}
CREATE_PLANT(by_name_confuses_children, checkout_by_name)

static ike_sa_t *config_takes_dying(ike_sa_manager_t *this, peer_cfg_t *cfg)
{
	linked_list_t *list = free_sas(STOCK(this));
	ike_sa_t *ike_sa, *found = NULL;

	while (!found && list->remove_first(list, (void**)&ike_sa) == SUCCESS)
	{
		peer_cfg_t *current = ike_sa->get_peer_cfg(ike_sa);

		if (ike_sa->get_state(ike_sa) == IKE_DELETING && current == cfg)
		{
			found = STOCK(this)->checkout(STOCK(this), ike_sa->get_id(ike_sa));
		}
	}
	list->destroy(list);
	return found ?: STOCK(this)->checkout_by_config(STOCK(this), cfg);
}
CREATE_PLANT(config_takes_dying, checkout_by_config)

static ike_sa_t *config_ignores_ike_config(ike_sa_manager_t *this, peer_cfg_t *cfg)
{
	linked_list_t *list = free_sas(STOCK(this));
	ike_sa_t *ike_sa, *found = NULL;

	while (!found && list->remove_first(list, (void**)&ike_sa) == SUCCESS)
	{
		peer_cfg_t *current = ike_sa->get_peer_cfg(ike_sa);
		ike_sa_state_t state = ike_sa->get_state(ike_sa);

		if (current && current->equals(current, cfg) && state != IKE_DELETING && state != IKE_REKEYED)
		{
			found = STOCK(this)->checkout(STOCK(this), ike_sa->get_id(ike_sa));
		}
	}
	list->destroy(list);
	return found ?: STOCK(this)->checkout_by_config(STOCK(this), cfg);
}
CREATE_PLANT(config_ignores_ike_config, checkout_by_config)

/*
 * Messages
 */

/**
 * A message whose bytes look different each time.
 */
static chunk_t changing_data;

static chunk_t get_changing_data(message_t *this __attribute__((unused)))
{
	return changing_data;
}

static ike_sa_t *retransmit_not_recognised(ike_sa_manager_t *this, message_t *message)
{
	chunk_t (*get_packet_data)(message_t*) = message->get_packet_data;
	ike_sa_t *ike_sa;

	if (message->get_exchange_type(message) != IKE_SA_INIT)
	{
		return STOCK(this)->checkout_by_message(STOCK(this), message);
	}
	pthread_mutex_lock(&PLANTED(this)->mutex);
	PLANTED(this)->count++;
	changing_data = chunk_from_thing(PLANTED(this)->count);
	message->get_packet_data = get_changing_data;
	ike_sa = STOCK(this)->checkout_by_message(STOCK(this), message);
	message->get_packet_data = get_packet_data;
	pthread_mutex_unlock(&PLANTED(this)->mutex);
	return ike_sa;
}
CREATE_PLANT(retransmit_not_recognised, checkout_by_message)

static ike_sa_t *no_alert_for_unknown(ike_sa_manager_t *this, message_t *message)
{
	ike_sa_id_t *id = message->get_ike_sa_id(message);
	ike_sa_t *ike_sa;

	if (!id->get_responder_spi(id) || !message->get_message_id(message))
	{
		return STOCK(this)->checkout_by_message(STOCK(this), message);
	}
	id = id->clone(id);
	id->switch_initiator(id);
	ike_sa = STOCK(this)->checkout(STOCK(this), id);
	id->destroy(id);
	return ike_sa;
}
CREATE_PLANT(no_alert_for_unknown, checkout_by_message)

static ike_sa_t *processing_not_reset(ike_sa_manager_t *this, message_t *message)
{
	ike_sa_t *ike_sa = STOCK(this)->checkout_by_message(STOCK(this), message);
	planted_t *planted = PLANTED(this);
	uint32_t unique_id, message_id = message->get_message_id(message);

	if (ike_sa && message_id)
	{
		unique_id = ike_sa->get_unique_id(ike_sa);
		if (planted->unique_ids[unique_id % KEPT] == unique_id &&
			planted->message_ids[unique_id % KEPT] == message_id)
		{
			STOCK(this)->checkin(STOCK(this), ike_sa);
			return NULL;
		}
		planted->unique_ids[unique_id % KEPT] = unique_id;
		planted->message_ids[unique_id % KEPT] = message_id;
	}
	return ike_sa;
}
CREATE_PLANT(processing_not_reset, checkout_by_message)

static ike_sa_manager_t *create_limit_off_by_one(void)
{
	int limit = lib->settings->get_int(lib->settings, "%s.ikesa_limit", 0, lib->ns);
	planted_t *this;

	if (limit)
	{
		lib->settings->set_int(lib->settings, "%s.ikesa_limit", limit + 1, lib->ns);
	}
	this = plant();
	lib->settings->set_int(lib->settings, "%s.ikesa_limit", limit, lib->ns);
	return &this->forward.public;
}

/*
 * Counts
 */

static void half_open_kept(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	host_t *other = NULL;

	if (ike_sa->get_state(ike_sa) == IKE_CONNECTING && !id->is_initiator(id))
	{
		other = ike_sa->get_other_host(ike_sa);
		other = other->clone(other);
	}
	STOCK(this)->checkin_and_destroy(STOCK(this), ike_sa);
	if (other)
	{
		STOCK(this)->track_init(STOCK(this), other);
		other->destroy(other);
	}
}
CREATE_PLANT(half_open_kept, checkin_and_destroy)

static u_int count_forgets_free(ike_sa_manager_t *this)
{
	u_int count = STOCK(this)->get_count(STOCK(this));

	return count > 5 ? count - 1 : count;
}
CREATE_PLANT(count_forgets_free, get_count)

/*
 * Checking in
 */

static void responder_spi_not_learned(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	uint64_t spi = id->get_responder_spi(id);
	bool initiator = id->is_initiator(id);

	if (initiator && ike_sa->get_state(ike_sa) == IKE_CONNECTING)
	{
		id->set_responder_spi(id, 0);
	}
	STOCK(this)->checkin(STOCK(this), ike_sa);
	if (initiator && ike_sa->get_state(ike_sa) == IKE_CONNECTING)
	{
		id->set_responder_spi(id, spi);
	}
}
CREATE_PLANT(responder_spi_not_learned, checkin)

static void bus_not_cleared(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	STOCK(this)->checkin(STOCK(this), ike_sa);
	charon->bus->set_sa(charon->bus, ike_sa);
}
CREATE_PLANT(bus_not_cleared, checkin)

static void initial_contact_ignored(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa->set_condition(ike_sa, COND_INIT_CONTACT_SEEN, FALSE);
	STOCK(this)->checkin(STOCK(this), ike_sa);
}
CREATE_PLANT(initial_contact_ignored, checkin)

/*
 * Waiting
 */

static void note_destroy(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	__atomic_add_fetch(&PLANTED(this)->count, 1, __ATOMIC_SEQ_CST);
	STOCK(this)->checkin_and_destroy(STOCK(this), ike_sa);
}

static ike_sa_t *waiter_not_driven_out(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	u_int before = __atomic_load_n(&PLANTED(this)->count, __ATOMIC_SEQ_CST);
	ike_sa_t *ike_sa = STOCK(this)->checkout(STOCK(this), id);

	if (!ike_sa && before != __atomic_load_n(&PLANTED(this)->count, __ATOMIC_SEQ_CST))
	{
		hang();
	}
	return ike_sa;
}

static ike_sa_manager_t *create_waiter_not_driven_out(void)
{
	planted_t *this = plant();

	this->forward.public.checkout = waiter_not_driven_out;
	this->forward.public.checkin_and_destroy = note_destroy;
	return &this->forward.public;
}

static void note_checkin(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	__atomic_add_fetch(&PLANTED(this)->count, 1, __ATOMIC_SEQ_CST);
	STOCK(this)->checkin(STOCK(this), ike_sa);
}

static ike_sa_t *wakeup_lost(ike_sa_manager_t *this, uint32_t unique_id)
{
	u_int before = __atomic_load_n(&PLANTED(this)->count, __ATOMIC_SEQ_CST);
	ike_sa_t *ike_sa = STOCK(this)->checkout_by_id(STOCK(this), unique_id);

	if (ike_sa && before != __atomic_load_n(&PLANTED(this)->count, __ATOMIC_SEQ_CST))
	{
		hang();
	}
	return ike_sa;
}

static ike_sa_manager_t *create_wakeup_lost(void)
{
	planted_t *this = plant();

	this->forward.public.checkout_by_id = wakeup_lost;
	this->forward.public.checkin = note_checkin;
	return &this->forward.public;
}

static void forget_held(planted_t *this, ike_sa_t *ike_sa)
{
	int i;

	pthread_mutex_lock(&this->mutex);
	for (i = 0; i < KEPT; i++)
	{
		if (this->held[i] == ike_sa)
		{
			this->held[i] = NULL;
		}
	}
	pthread_mutex_unlock(&this->mutex);
}

static ike_sa_t *handed_out_twice(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	planted_t *planted = PLANTED(this);
	ike_sa_t *found = NULL;
	int i;

	pthread_mutex_lock(&planted->mutex);
	for (i = 0; i < KEPT; i++)
	{
		if (planted->held[i] && id->equals(id, planted->held[i]->get_id(planted->held[i])))
		{
			found = planted->held[i];
		}
	}
	pthread_mutex_unlock(&planted->mutex);
	if (found)
	{
		charon->bus->set_sa(charon->bus, found);
		return found;
	}
	found = STOCK(this)->checkout(STOCK(this), id);
	if (found)
	{
		pthread_mutex_lock(&planted->mutex);
		planted->held[found->get_unique_id(found) % KEPT] = found;
		pthread_mutex_unlock(&planted->mutex);
	}
	return found;
}

static void held_checkin(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	forget_held(PLANTED(this), ike_sa);
	STOCK(this)->checkin(STOCK(this), ike_sa);
}

static void held_destroy(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	forget_held(PLANTED(this), ike_sa);
	STOCK(this)->checkin_and_destroy(STOCK(this), ike_sa);
}

static ike_sa_manager_t *create_handed_out_twice(void)
{
	planted_t *this = plant();

	this->forward.public.checkout = handed_out_twice;
	this->forward.public.checkin = held_checkin;
	this->forward.public.checkin_and_destroy = held_destroy;
	return &this->forward.public;
}

/*
 * Enumerating
 */

typedef struct skipping_t skipping_t;

/**
 * An enumerator that leaves out one SA, or that leaves the last one on the bus.
 */
struct skipping_t {
	enumerator_t public;
	enumerator_t *enumerator;
	u_int position;
	bool keep_bus;
};

METHOD(enumerator_t, skipping_enumerate, bool,
	skipping_t *this, va_list args)
{
	ike_sa_t **ike_sa;

	VA_ARGS_VGET(args, ike_sa);
	if (!this->enumerator->enumerate(this->enumerator, ike_sa))
	{
		return FALSE;
	}
	if (++this->position == 3 && !this->keep_bus)
	{
		return this->enumerator->enumerate(this->enumerator, ike_sa);
	}
	return TRUE;
}

METHOD(enumerator_t, skipping_destroy, void,
	skipping_t *this)
{
	ike_sa_t *bus = charon->bus->get_sa(charon->bus);

	this->enumerator->destroy(this->enumerator);
	if (this->keep_bus)
	{
		charon->bus->set_sa(charon->bus, bus);
	}
	free(this);
}

static enumerator_t *create_skipping(ike_sa_manager_t *stock, bool wait, bool keep_bus)
{
	skipping_t *this;

	INIT(this,
		.public = {
			.enumerate = enumerator_enumerate_default,
			.venumerate = _skipping_enumerate,
			.destroy = _skipping_destroy,
		},
		.enumerator = stock->create_enumerator(stock, wait),
		.keep_bus = keep_bus,
	);
	return &this->public;
}

static enumerator_t *enumerator_skips_one(ike_sa_manager_t *this, bool wait)
{
	return create_skipping(STOCK(this), wait, FALSE);
}
CREATE_PLANT(enumerator_skips_one, create_enumerator)

static enumerator_t *enumerator_keeps_bus(ike_sa_manager_t *this, bool wait)
{
	return create_skipping(STOCK(this), wait, TRUE);
}
CREATE_PLANT(enumerator_keeps_bus, create_enumerator)

static enumerator_t *enumerator_never_waits(ike_sa_manager_t *this, bool wait __attribute__((unused)))
{
	return STOCK(this)->create_enumerator(STOCK(this), FALSE);
}
CREATE_PLANT(enumerator_never_waits, create_enumerator)

/*
 * Peers
 */

static bool has_contact_ignores_family(ike_sa_manager_t *this, identification_t *me, identification_t *other,
									   int family __attribute__((unused)))
{
	return STOCK(this)->has_contact(STOCK(this), me, other, AF_UNSPEC);
}
CREATE_PLANT(has_contact_ignores_family, has_contact)

static bool uniqueness_ignores_keep(ike_sa_manager_t *this, ike_sa_t *ike_sa, bool force)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);

	if (!force && cfg->get_unique_policy(cfg) == UNIQUE_KEEP)
	{
		charon->bus->set_sa(charon->bus, ike_sa);
		return FALSE;
	}
	return STOCK(this)->check_uniqueness(STOCK(this), ike_sa, force);
}
CREATE_PLANT(uniqueness_ignores_keep, check_uniqueness)

static bool uniqueness_always_replaces(ike_sa_manager_t *this, ike_sa_t *ike_sa, bool force)
{
	peer_cfg_t *cfg = ike_sa->get_peer_cfg(ike_sa);

	return STOCK(this)->check_uniqueness(STOCK(this), ike_sa,
										 force || cfg->get_unique_policy(cfg) == UNIQUE_REPLACE);
}
CREATE_PLANT(uniqueness_always_replaces, check_uniqueness)

static enumerator_t *ids_newest_first(ike_sa_manager_t *this, identification_t *me, identification_t *other, int family)
{
	enumerator_t *enumerator;
	linked_list_t *list = linked_list_create();
	ike_sa_id_t *id;

	enumerator = STOCK(this)->create_id_enumerator(STOCK(this), me, other, family);
	while (enumerator->enumerate(enumerator, &id))
	{
		list->insert_first(list, id->clone(id));
	}
	enumerator->destroy(enumerator);
	return enumerator_create_cleaner(list->create_enumerator(list), (void*)list->destroy, list);
}
CREATE_PLANT(ids_newest_first, create_id_enumerator)

/*
 * SPIs
 */

static bool note_new_spi(ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	planted_t *planted = PLANTED(this);
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);

	pthread_mutex_lock(&planted->mutex);
	DESTROY_IF(planted->old_id);
	DESTROY_IF(planted->new_id);
	planted->old_id = id->clone(id);
	pthread_mutex_unlock(&planted->mutex);
	if (STOCK(this)->new_initiator_spi(STOCK(this), ike_sa))
	{
		planted->new_id = id->clone(id);
		return TRUE;
	}
	planted->new_id = planted->old_id->clone(planted->old_id);
	return FALSE;
}

static ike_sa_t *old_spi_still_found(ike_sa_manager_t *this, ike_sa_id_t *id)
{
	planted_t *planted = PLANTED(this);

	if (planted->old_id && planted->new_id && id->equals(id, planted->old_id))
	{
		id = planted->new_id;
	}
	return STOCK(this)->checkout(STOCK(this), id);
}

static ike_sa_manager_t *create_old_spi_still_found(void)
{
	planted_t *this = plant();

	this->forward.public.checkout = old_spi_still_found;
	this->forward.public.new_initiator_spi = note_new_spi;
	return &this->forward.public;
}

static ike_sa_manager_t *create_label_ignored(void)
{
	char *mask = strdupnull(lib->settings->get_str(lib->settings, "%s.spi_mask", NULL, lib->ns));
	char *label = strdupnull(lib->settings->get_str(lib->settings, "%s.spi_label", NULL, lib->ns));
	planted_t *this;

	lib->settings->set_str(lib->settings, "%s.spi_mask", "0", lib->ns);
	lib->settings->set_str(lib->settings, "%s.spi_label", "0", lib->ns);
	this = plant();
	lib->settings->set_str(lib->settings, "%s.spi_mask", mask, lib->ns);
	lib->settings->set_str(lib->settings, "%s.spi_label", label, lib->ns);
	free(mask);
	free(label);
	return &this->forward.public;
}

/*
 * Ending
 */

static void nothing_flushed(ike_sa_manager_t *this __attribute__((unused)))
{
}
CREATE_PLANT(nothing_flushed, flush)

static void flush_without_delete(ike_sa_manager_t *this)
{
	linked_list_t *list = free_sas(STOCK(this));
	ike_sa_t *ike_sa;

	while (list->remove_first(list, (void**)&ike_sa) == SUCCESS)
	{
		ike_sa = STOCK(this)->checkout(STOCK(this), ike_sa->get_id(ike_sa));
		if (ike_sa)
		{
			STOCK(this)->checkin_and_destroy(STOCK(this), ike_sa);
		}
	}
	list->destroy(list);
	STOCK(this)->flush(STOCK(this));
}
CREATE_PLANT(flush_without_delete, flush)

#define PLANT(plant, count, sentence) \
	{ .side = { .name = #plant, .create = create_##plant }, .seeds = count, .bug = sentence }

plant_t plants[] = {
	PLANT(zero_responder_spi, 10, "an ID without responder SPI finds nothing"),
	PLANT(role_ignored, 15, "an ID finds an SA although the role is wrong"),
	PLANT(oldest_of_equals, 150, "of several SAs that an ID stands for the oldest is found"),
	PLANT(by_id_finds_another, 60, "checkout_by_id() of an SA that is gone returns another one"),
	PLANT(by_name_confuses_children, 60, "checkout_by_name() takes a child's name for an IKE_SA's"),
	PLANT(config_takes_dying, 40, "checkout_by_config() returns an SA that is being deleted"),
	PLANT(config_ignores_ike_config, 20, "checkout_by_config() does not compare the IKE config"),
	PLANT(retransmit_not_recognised, 40, "a retransmit of an IKE_SA_INIT request makes another SA"),
	PLANT(no_alert_for_unknown, 10, "a message for an unknown SPI raises no alert"),
	PLANT(processing_not_reset, 100, "a message ID that an SA has processed keeps later messages with the same ID out"),
	PLANT(limit_off_by_one, 150, "ikesa_limit allows one SA more"),
	PLANT(half_open_kept, 20, "the half-open count stays when a half-open SA is destroyed"),
	PLANT(count_forgets_free, 10, "get_count() is wrong from six SAs on"),
	PLANT(responder_spi_not_learned, 30, "checkin() does not learn the responder's SPI"),
	PLANT(bus_not_cleared, 10, "checkin() leaves the SA on the bus"),
	PLANT(initial_contact_ignored, 30, "INITIAL_CONTACT of an IKEv1 SA destroys no duplicates"),
	PLANT(waiter_not_driven_out, 80, "who waits for an SA that is destroyed waits for ever"),
	PLANT(wakeup_lost, 50, "who waits for an SA in checkout_by_id() is not told that it was checked in"),
	PLANT(handed_out_twice, 30, "an SA that somebody has is handed out again"),
	PLANT(enumerator_skips_one, 15, "an enumerator skips the third SA"),
	PLANT(enumerator_keeps_bus, 15, "the end of an enumerator leaves an SA on the bus"),
	PLANT(enumerator_never_waits, 60, "an enumerator skips SAs that it should wait for"),
	PLANT(has_contact_ignores_family, 30, "has_contact() finds contacts over the other IP version"),
	PLANT(uniqueness_ignores_keep, 60, "the policy to keep old SAs is ignored"),
	PLANT(uniqueness_always_replaces, 20, "duplicates are destroyed where they should only be deleted later"),
	PLANT(ids_newest_first, 80, "create_id_enumerator() lists the newest SA first"),
	PLANT(old_spi_still_found, 80, "an SA is still found under the SPI that new_initiator_spi() replaced"),
	PLANT(label_ignored, 40, "SPIs do not carry the configured label"),
	PLANT(nothing_flushed, 10, "flush() does nothing"),
	PLANT(flush_without_delete, 10, "flush() destroys SAs without deleting them"),
};

const int plant_count = countof(plants);

/* described in header */
plant_t *plant_find(const char *name)
{
	int i;

	for (i = 0; i < plant_count; i++)
	{
		if (streq(plants[i].side.name, name))
		{
			return &plants[i];
		}
	}
	return NULL;
}
