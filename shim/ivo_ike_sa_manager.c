/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_address.h"
#include "ivo_ike_sa_manager.h"
#include "ivo_foreign_sas.h"
#include "ivo_identity.h"

#include <inttypes.h>
#include <stddef.h>

#include <daemon.h>
#include <collections/linked_list.h>
#include <encoding/message.h>
#include <processing/jobs/delete_ike_sa_job.h>
#include <sa/ike_sa_id.h>
#include <sa/task.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/rwlock.h>

typedef struct private_ivo_ike_sa_manager_t private_ivo_ike_sa_manager_t;

/**
 * Rows that charon's own table has at most
 */
#define MAX_TABLE_ROWS (1 << 30)

/**
 * Private data of the manager
 */
struct private_ivo_ike_sa_manager_t {

	/**
	 * Public interface
	 */
	ike_sa_manager_t public;

	/**
	 * Core of the plugin: the table
	 */
	ivo_sessiontable_t *table;

	/**
	 * What the core needs of charon
	 */
	ivo_charon_t charon;

	/**
	 * charon's own manager, for IKE_SAs that come while the plugin is switched
	 * off
	 */
	ike_sa_manager_t *stock;

	/**
	 * IKE_SAs that charon's own manager has
	 */
	ivo_foreign_sas_t *foreign;

	/**
	 * Generator of SPIs, NULL after flush()
	 */
	rng_t *rng;

	/**
	 * Callback that gives SPIs instead, if any
	 */
	spi_cb_t spi_cb;

	/**
	 * Argument of the callback
	 */
	void *spi_data;

	/**
	 * Protects the three above; not needed to look up anything
	 */
	rwlock_t *spi_lock;

	/**
	 * Bits of our SPIs that the label replaces, and the label; network order
	 */
	uint64_t spi_mask, spi_label;

	/**
	 * Bits of an initiator SPI that stay when it changes
	 */
	uint64_t kept_spi_bits;

	/**
	 * Initiate within existing IKE_SAs
	 */
	bool reuse_ikesa;

	/**
	 * Configs for which threads look for an IKE_SA, config_turn_t
	 */
	linked_list_t *configs;

	/**
	 * Protects the list above
	 */
	mutex_t *config_mutex;

	/**
	 * A thread has found its IKE_SA
	 */
	condvar_t *config_condvar;
};

/**
 * Threads that look for an IKE_SA of one config: one at a time, so that they do
 * not each create one
 */
typedef struct {

	/**
	 * The config
	 */
	peer_cfg_t *cfg;

	/**
	 * Threads that are at it, or wait
	 */
	u_int threads;

	/**
	 * One is at it
	 */
	bool taken;
} config_turn_t;

/**
 * Enumerator over the IKE_SAs
 */
typedef struct {

	/**
	 * Public interface
	 */
	enumerator_t public;

	/**
	 * Walk over our table
	 */
	ivo_walk_t *walk;

	/**
	 * Enumerator over those of charon's own manager, when ours are through
	 */
	enumerator_t *rest;

	/**
	 * Manager
	 */
	private_ivo_ike_sa_manager_t *manager;

	/**
	 * Wait for those that are checked out
	 */
	bool wait;
} sa_enumerator_t;

/**
 * Translate an ID
 */
static ivo_ike_id_t id_of(ike_sa_id_t *id)
{
	return (ivo_ike_id_t){
		.initiator_spi = id->get_initiator_spi(id),
		.responder_spi = id->get_responder_spi(id),
		.version = id->get_ike_version(id),
		.initiator = id->is_initiator(id),
	};
}

/**
 * Translate an ID back
 */
static ike_sa_id_t *id_create(const ivo_ike_id_t *id)
{
	return ike_sa_id_create(id->version, id->initiator_spi, id->responder_spi,
							id->initiator);
}

/**
 * Translate an address family
 */
static uint8_t family_of(int family)
{
	switch (family)
	{
		case 0:
			return 0;
		case AF_INET:
			return 4;
		case AF_INET6:
			return 6;
		default:
			return UINT8_MAX;
	}
}

/**
 * What a message is recognised by while it is processed. IKEv1 has no message
 * IDs in phase 1, and uses one for all three messages of Quick Mode.
 */
static uint32_t processing_of(message_t *message)
{
	if (message->get_major_version(message) == IKEV1_MAJOR_VERSION &&
		(message->get_message_id(message) == 0 ||
		 message->get_exchange_type(message) == QUICK_MODE))
	{
		return chunk_hash(message->get_packet_data(message));
	}
	return message->get_message_id(message);
}

/**
 * Translate a message; the result points to its bytes
 */
static ivo_ike_message_t message_of(message_t *message)
{
	host_t *source = message->get_source(message);
	chunk_t bytes = message->get_packet_data(message);
	ivo_ike_message_t result = {
		.id = id_of(message->get_ike_sa_id(message)),
		.request = message->get_request(message),
		.message_id = message->get_message_id(message),
		.processing = processing_of(message),
		.source = ivo_address_of(source),
		.source_port = source->get_port(source),
		.bytes = bytes.ptr,
		.length = bytes.len,
	};

	switch (message->get_exchange_type(message))
	{
		case IKE_SA_INIT:
			result.exchange = IVO_EXCHANGE_IKE_SA_INIT;
			break;
		case ID_PROT:
			result.exchange = IVO_EXCHANGE_MAIN_MODE;
			break;
		case AGGRESSIVE:
			result.exchange = IVO_EXCHANGE_AGGRESSIVE_MODE;
			break;
		default:
			result.exchange = IVO_EXCHANGE_OTHER;
			break;
	}
	switch (message->get_first_payload_type(message))
	{
		case PLV1_FRAGMENT:
			result.fragment_v1 = TRUE;
			break;
		case PLV2_FRAGMENT:
			result.fragment_v2 = TRUE;
			break;
		default:
			break;
	}
	return result;
}

/**
 * The manager that gave the core its view of charon
 */
static private_ivo_ike_sa_manager_t *manager_of(const ivo_charon_t *view)
{
	return (private_ivo_ike_sa_manager_t*)((char*)view -
						offsetof(private_ivo_ike_sa_manager_t, charon));
}

/**
 * ivo_charon_t.unique_id
 */
static uint32_t unique_id(const ivo_charon_t *view, void *data)
{
	ike_sa_t *ike_sa = data;

	return ike_sa->get_unique_id(ike_sa);
}

/**
 * ivo_charon_t.describe
 */
static void describe(const ivo_charon_t *view, void *data,
					 ivo_ike_sa_t *description)
{
	ike_sa_t *ike_sa = data;
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	*description = (ivo_ike_sa_t){
		.id = id_of(ike_sa->get_id(ike_sa)),
		.unique_id = ike_sa->get_unique_id(ike_sa),
		.connecting = state == IKE_CONNECTING,
		.established = state == IKE_ESTABLISHED || state == IKE_PASSIVE,
	};
}

/**
 * ivo_charon_t.other_address
 */
static void other_address(const ivo_charon_t *view, void *data,
						  ivo_address_t *address)
{
	ike_sa_t *ike_sa = data;

	*address = ivo_address_of(ike_sa->get_other_host(ike_sa));
}

/**
 * ivo_charon_t.new_spi
 */
static uint64_t new_spi(const ivo_charon_t *view)
{
	private_ivo_ike_sa_manager_t *this = manager_of(view);
	uint64_t spi = 0;

	this->spi_lock->read_lock(this->spi_lock);
	if (this->spi_cb)
	{
		spi = this->spi_cb(this->spi_data);
	}
	else if (this->rng &&
			 !this->rng->get_bytes(this->rng, sizeof(spi), (uint8_t*)&spi))
	{
		spi = 0;
	}
	this->spi_lock->unlock(this->spi_lock);

	return spi ? (spi & ~this->spi_mask) | this->spi_label : 0;
}

/**
 * ivo_charon_t.create
 */
static void *create_responder(const ivo_charon_t *view, const ivo_ike_id_t *id)
{
	ike_sa_id_t *ike_sa_id = id_create(id);
	ike_sa_t *ike_sa;

	ike_sa = ike_sa_create(ike_sa_id, FALSE,
						   id->version == IKEV1_MAJOR_VERSION ? IKEV1 : IKEV2);
	ike_sa_id->destroy(ike_sa_id);
	return ike_sa;
}

/**
 * ivo_charon_t.enter
 */
static void enter(const ivo_charon_t *view, void *ike_sa)
{
	charon->bus->set_sa(charon->bus, ike_sa);
}

/**
 * ivo_charon_t.destroy
 */
static void destroy_sa(const ivo_charon_t *view, void *data)
{
	ike_sa_t *ike_sa = data;

	ike_sa->destroy(ike_sa);
	charon->bus->set_sa(charon->bus, NULL);
}

/**
 * ivo_charon_t.close
 */
static void close_sa(const ivo_charon_t *view, void *data)
{
	ike_sa_t *ike_sa = data;

	charon->bus->set_sa(charon->bus, ike_sa);
	ignore_result(ike_sa->delete(ike_sa, TRUE));
}

/**
 * charon's own manager, for a call that it is to serve
 */
static ike_sa_manager_t *delegate(private_ivo_ike_sa_manager_t *this,
								  ivo_manager_method_t method)
{
	ivo_sessiontable_count_call(this->table, method);
	return this->stock;
}

/**
 * Do IKE_SAs that come now go to charon's own manager?
 */
static bool switched_off(private_ivo_ike_sa_manager_t *this)
{
	return this->stock && !ivo_sessiontable_enabled(this->table);
}

/**
 * charon's own manager, for a call that both have to follow; it is not counted
 * as passed on unless the plugin is switched off
 */
static ike_sa_manager_t *stock_in_step(private_ivo_ike_sa_manager_t *this,
									   ivo_manager_method_t method)
{
	return switched_off(this) ? delegate(this, method) : this->stock;
}

/**
 * Count a call that the table serves
 */
static void serve(private_ivo_ike_sa_manager_t *this,
				  ivo_manager_method_t method)
{
	if (!switched_off(this))
	{
		ivo_sessiontable_count_served(this->table, method);
	}
}

/**
 * May charon's own manager have IKE_SAs?
 */
static bool stock_has_any(private_ivo_ike_sa_manager_t *this)
{
	return ivo_foreign_sas_used(this->foreign) || switched_off(this);
}

METHOD(ike_sa_manager_t, create_new, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, ike_version_t version, bool initiator)
{
	ike_sa_id_t *ike_sa_id;
	ike_sa_t *ike_sa;
	uint64_t spi;

	serve(this, IVO_MANAGER_CREATE_NEW);
	if (switched_off(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CREATE_NEW);

		return stock->create_new(stock, version, initiator);
	}
	spi = new_spi(&this->charon);
	if (!spi)
	{
		DBG1(DBG_MGR, "no SPI could be allocated for a new IKE_SA");
		return NULL;
	}
	ike_sa_id = ike_sa_id_create(
				version == IKEV1 ? IKEV1_MAJOR_VERSION : IKEV2_MAJOR_VERSION,
				initiator ? spi : 0, initiator ? 0 : spi, initiator);
	ike_sa = ike_sa_create(ike_sa_id, initiator, version);
	ike_sa_id->destroy(ike_sa_id);
	return ike_sa;
}

METHOD(ike_sa_manager_t, checkout_new, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	serve(this, IVO_MANAGER_CHECKOUT_NEW);
	if (switched_off(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_NEW);

		ivo_foreign_sas_add(this->foreign, ike_sa);
		stock->checkout_new(stock, ike_sa);
		return;
	}
	if (!ivo_sessiontable_checkout_new(this->table, ike_sa))
	{
		/* checkin() tries again */
		DBG1(DBG_MGR, "out of memory, IKE_SA %s[%u] not registered yet",
			 ike_sa->get_name(ike_sa), ike_sa->get_unique_id(ike_sa));
	}
}

METHOD(ike_sa_manager_t, checkout, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, ike_sa_id_t *ike_sa_id)
{
	ivo_ike_id_t id = id_of(ike_sa_id);
	ivo_checkout_t how;
	ike_sa_t *ike_sa;

	serve(this, IVO_MANAGER_CHECKOUT);
	ike_sa = ivo_sessiontable_checkout(this->table, &id, &how);
	if (how == IVO_CHECKOUT_UNKNOWN && stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT);

		return stock->checkout(stock, ike_sa_id);
	}
	charon->bus->set_sa(charon->bus, ike_sa);
	return ike_sa;
}

METHOD(ike_sa_manager_t, track_init, void,
	private_ivo_ike_sa_manager_t *this, host_t *ip)
{
	ivo_address_t address = ivo_address_of(ip);

	serve(this, IVO_MANAGER_TRACK_INIT);
	ivo_sessiontable_track_init(this->table, &address);
}

/**
 * Say why there is no IKE_SA for a message, as far as it is worth a line
 */
static void explain(private_ivo_ike_sa_manager_t *this, message_t *message,
					ivo_checkout_t how)
{
	switch (how)
	{
		case IVO_CHECKOUT_UNKNOWN:
			charon->bus->alert(charon->bus, ALERT_INVALID_IKE_SPI, message);
			break;
		case IVO_CHECKOUT_PROCESSING:
			DBG1(DBG_MGR, "message with ID %u is being processed already, "
				 "dropped", message->get_message_id(message));
			break;
		case IVO_CHECKOUT_LIMIT:
			DBG1(DBG_MGR, "%N request dropped, as many IKE_SAs as "
				 "%s.ikesa_limit allows", exchange_type_names,
				 message->get_exchange_type(message), lib->ns);
			break;
		case IVO_CHECKOUT_NO_SPI:
			DBG1(DBG_MGR, "message dropped, no SPI could be allocated");
			break;
		case IVO_CHECKOUT_NOT_CREATED:
			DBG1(DBG_MGR, "message dropped, no IKE_SA could be created");
			break;
		case IVO_CHECKOUT_NO_MEMORY:
			DBG1(DBG_MGR, "message dropped, out of memory");
			break;
		case IVO_CHECKOUT_BUSY:
			DBG2(DBG_MGR, "message with ID %u dropped, too many threads wait "
				 "for its IKE_SA", message->get_message_id(message));
			break;
		default:
			break;
	}
}

/**
 * Let charon's own manager check out by message
 */
static ike_sa_t *checkout_by_message_stock(private_ivo_ike_sa_manager_t *this,
										   message_t *message)
{
	ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_MESSAGE);
	ike_sa_t *ike_sa;

	ike_sa = stock->checkout_by_message(stock, message);
	if (ike_sa)
	{
		ivo_foreign_sas_add(this->foreign, ike_sa);
	}
	return ike_sa;
}

METHOD(ike_sa_manager_t, checkout_by_message, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, message_t *message)
{
	ivo_ike_message_t translated = message_of(message);
	ivo_checkout_t how;
	ike_sa_t *ike_sa;

	serve(this, IVO_MANAGER_CHECKOUT_BY_MESSAGE);
	if (switched_off(this) &&
		ivo_sessiontable_init_of(this->table, &translated) == IVO_INIT_NEW)
	{	/* we counted it in track_init(); its count goes over to charon's own
		 * manager, together with the IKE_SA that is made of it */
		this->stock->track_init(this->stock, message->get_source(message));
		ivo_sessiontable_untrack_init(this->table, &translated.source);
		return checkout_by_message_stock(this, message);
	}

	ike_sa = ivo_sessiontable_checkout_by_message(this->table, &translated,
												  &how);
	if (ike_sa)
	{
		ike_sa_id_t *id = ike_sa->get_id(ike_sa);

		if (id->get_responder_spi(id) == 0)
		{	/* the first message that tells it */
			id->set_responder_spi(id, translated.id.responder_spi);
		}
	}
	else if (how == IVO_CHECKOUT_UNKNOWN && stock_has_any(this))
	{
		return checkout_by_message_stock(this, message);
	}
	else
	{
		explain(this, message, how);
	}
	charon->bus->set_sa(charon->bus, ike_sa);
	return ike_sa;
}

/**
 * Are two configs the same, IKE config included?
 */
static bool same_config(peer_cfg_t *a, peer_cfg_t *b)
{
	ike_cfg_t *ike_cfg;

	if (!a->equals(a, b))
	{
		return FALSE;
	}
	ike_cfg = a->get_ike_cfg(a);
	return ike_cfg->equals(ike_cfg, b->get_ike_cfg(b));
}

/**
 * Is a delete of the IKE_SA queued?
 */
static bool is_delete_queued(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	task_type_t wanted;
	task_t *task;
	bool found = FALSE;

	wanted = ike_sa->get_version(ike_sa) == IKEV1 ? TASK_ISAKMP_DELETE
												  : TASK_IKE_DELETE;
	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_QUEUED);
	while (!found && enumerator->enumerate(enumerator, &task))
	{
		found = task->get_type(task) == wanted;
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * May something be initiated within an IKE_SA?
 */
static bool is_usable(ike_sa_t *ike_sa)
{
	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_DELETING:
		case IKE_REKEYED:
			return FALSE;
		default:
			return !ike_sa->has_condition(ike_sa, COND_REDIRECTED) &&
				   !is_delete_queued(ike_sa);
	}
}

/**
 * Wait until no other thread looks for an IKE_SA of this config
 */
static config_turn_t *enter_config(private_ivo_ike_sa_manager_t *this,
								   peer_cfg_t *peer_cfg)
{
	config_turn_t *turn = NULL, *current;
	enumerator_t *enumerator;

	this->config_mutex->lock(this->config_mutex);
	enumerator = this->configs->create_enumerator(this->configs);
	while (!turn && enumerator->enumerate(enumerator, &current))
	{
		if (same_config(current->cfg, peer_cfg))
		{
			turn = current;
		}
	}
	enumerator->destroy(enumerator);
	if (!turn)
	{
		INIT(turn,
			.cfg = peer_cfg->get_ref(peer_cfg),
		);
		this->configs->insert_last(this->configs, turn);
	}
	turn->threads++;
	while (turn->taken)
	{
		this->config_condvar->wait(this->config_condvar, this->config_mutex);
	}
	turn->taken = TRUE;
	this->config_mutex->unlock(this->config_mutex);
	return turn;
}

/**
 * Let the next thread look for an IKE_SA of this config
 */
static void leave_config(private_ivo_ike_sa_manager_t *this,
						 config_turn_t *turn)
{
	bool last;

	this->config_mutex->lock(this->config_mutex);
	turn->taken = FALSE;
	last = --turn->threads == 0;
	if (last)
	{
		this->configs->remove(this->configs, turn, NULL);
	}
	/* those that wait may want different configs */
	this->config_condvar->broadcast(this->config_condvar);
	this->config_mutex->unlock(this->config_mutex);
	if (last)
	{
		turn->cfg->destroy(turn->cfg);
		free(turn);
	}
}

/**
 * Create an IKE_SA of a config
 */
static ike_sa_t *create_by_config(private_ivo_ike_sa_manager_t *this,
								  peer_cfg_t *peer_cfg)
{
	ike_sa_t *ike_sa;

	ike_sa = create_new(this, peer_cfg->get_ike_version(peer_cfg), TRUE);
	if (ike_sa)
	{
		ike_sa->set_peer_cfg(ike_sa, peer_cfg);
		checkout_new(this, ike_sa);
	}
	return ike_sa;
}

/**
 * Look for an IKE_SA of a config, the newest first
 */
static ike_sa_t *find_by_config(private_ivo_ike_sa_manager_t *this,
								peer_cfg_t *peer_cfg)
{
	ike_sa_t *ike_sa;
	ivo_walk_t *walk;

	walk = ivo_sessiontable_walk(this->table, TRUE, TRUE);
	if (!walk)
	{
		return NULL;
	}
	while ((ike_sa = ivo_walk_next(walk)))
	{
		peer_cfg_t *current = ike_sa->get_peer_cfg(ike_sa);

		if (current && is_usable(ike_sa) && same_config(current, peer_cfg))
		{
			ivo_walk_keep(walk);
			break;
		}
	}
	ivo_walk_end(walk);
	return ike_sa;
}

METHOD(ike_sa_manager_t, checkout_by_config, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, peer_cfg_t *peer_cfg)
{
	config_turn_t *turn;
	ike_sa_t *ike_sa;

	serve(this, IVO_MANAGER_CHECKOUT_BY_CONFIG);
	if (!this->reuse_ikesa && peer_cfg->get_ike_version(peer_cfg) != IKEV1)
	{	/* IKEv1 has no choice */
		ike_sa = create_by_config(this, peer_cfg);
	}
	else
	{
		turn = enter_config(this, peer_cfg);
		ike_sa = find_by_config(this, peer_cfg);
		if (!ike_sa && switched_off(this))
		{
			ike_sa_manager_t *stock = delegate(this,
											IVO_MANAGER_CHECKOUT_BY_CONFIG);

			ike_sa = stock->checkout_by_config(stock, peer_cfg);
			if (ike_sa)
			{
				ivo_foreign_sas_add(this->foreign, ike_sa);
			}
		}
		else if (!ike_sa)
		{
			ike_sa = create_by_config(this, peer_cfg);
		}
		leave_config(this, turn);
	}
	charon->bus->set_sa(charon->bus, ike_sa);
	return ike_sa;
}

METHOD(ike_sa_manager_t, checkout_by_id, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, uint32_t id)
{
	ike_sa_t *ike_sa;

	serve(this, IVO_MANAGER_CHECKOUT_BY_ID);
	ike_sa = ivo_sessiontable_checkout_by_id(this->table, id);
	if (!ike_sa && stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_ID);

		return stock->checkout_by_id(stock, id);
	}
	charon->bus->set_sa(charon->bus, ike_sa);
	return ike_sa;
}

/**
 * Does an IKE_SA, or one of its CHILD_SAs, have a name?
 */
static bool has_name(ike_sa_t *ike_sa, char *name, bool child)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool found = FALSE;

	if (!child)
	{
		return streq(ike_sa->get_name(ike_sa), name);
	}
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (!found && enumerator->enumerate(enumerator, &child_sa))
	{
		found = streq(child_sa->get_name(child_sa), name);
	}
	enumerator->destroy(enumerator);
	return found;
}

METHOD(ike_sa_manager_t, checkout_by_name, ike_sa_t*,
	private_ivo_ike_sa_manager_t *this, char *name, bool child)
{
	ike_sa_t *ike_sa = NULL;
	ivo_walk_t *walk;

	serve(this, IVO_MANAGER_CHECKOUT_BY_NAME);
	walk = ivo_sessiontable_walk(this->table, TRUE, TRUE);
	if (walk)
	{
		while ((ike_sa = ivo_walk_next(walk)))
		{
			if (has_name(ike_sa, name, child))
			{
				ivo_walk_keep(walk);
				break;
			}
		}
		ivo_walk_end(walk);
	}
	if (!ike_sa && stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKOUT_BY_NAME);

		return stock->checkout_by_name(stock, name, child);
	}
	charon->bus->set_sa(charon->bus, ike_sa);
	return ike_sa;
}

/**
 * Give an IKE_SA another initiator SPI, and tell who keeps the CHILD_SAs by it.
 * Only a reauthenticated IKEv1 SA that adopted them has any at this time.
 */
static void set_initiator_spi(ike_sa_t *ike_sa, uint64_t spi)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa), *new_id;
	enumerator_t *enumerator;
	child_sa_t *child_sa;

	if (ike_sa->get_version(ike_sa) != IKEV1 ||
		!ike_sa->get_child_count(ike_sa))
	{
		id->set_initiator_spi(id, spi);
		return;
	}
	new_id = id->clone(id);
	new_id->set_initiator_spi(new_id, spi);
	charon->bus->children_migrate(charon->bus, new_id,
								  ike_sa->get_unique_id(ike_sa));
	new_id->destroy(new_id);

	id->set_initiator_spi(id, spi);
	enumerator = ike_sa->create_child_sa_enumerator(ike_sa);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		charon->child_sa_manager->remove(charon->child_sa_manager, child_sa);
		charon->child_sa_manager->add(charon->child_sa_manager, child_sa,
									  ike_sa);
	}
	enumerator->destroy(enumerator);
	charon->bus->children_migrate(charon->bus, NULL, 0);
}

METHOD(ike_sa_manager_t, new_initiator_spi, bool,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	uint64_t spi;

	serve(this, IVO_MANAGER_NEW_INITIATOR_SPI);
	if (ivo_foreign_sas_has(this->foreign, ike_sa))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_NEW_INITIATOR_SPI);

		return stock->new_initiator_spi(stock, ike_sa);
	}
	if (ike_sa->get_state(ike_sa) != IKE_CONNECTING || !id->is_initiator(id) ||
		charon->bus->get_sa(charon->bus) != ike_sa)
	{
		DBG1(DBG_MGR, "the initiator SPI can only be changed as initiator, "
			 "while connecting, by the thread that has the IKE_SA");
		return FALSE;
	}
	spi = new_spi(&this->charon);
	if (!spi)
	{
		DBG1(DBG_MGR, "no SPI could be allocated to change the initiator SPI");
		return FALSE;
	}
	spi = (id->get_initiator_spi(id) & this->kept_spi_bits) |
		  (spi & ~this->kept_spi_bits);
	switch (ivo_sessiontable_change_spi(this->table, ike_sa, spi))
	{
		case IVO_CHECKOUT_FOUND:
			set_initiator_spi(ike_sa, spi);
			return TRUE;
		case IVO_CHECKOUT_GOING:
			return FALSE;
		default:
			DBG1(DBG_MGR, "the initiator SPI can not be changed, IKE_SA not "
				 "found");
			return FALSE;
	}
}

/**
 * enumerator_t.venumerate of the enumerator over the IKE_SAs
 */
METHOD(enumerator_t, enumerate_sas, bool,
	sa_enumerator_t *this, va_list args)
{
	private_ivo_ike_sa_manager_t *manager = this->manager;
	ike_sa_t **out, *ike_sa;

	VA_ARGS_VGET(args, out);

	if (this->walk)
	{
		ike_sa = ivo_walk_next(this->walk);
		if (ike_sa)
		{
			charon->bus->set_sa(charon->bus, ike_sa);
			*out = ike_sa;
			return TRUE;
		}
		ivo_walk_end(this->walk);
		this->walk = NULL;
		if (stock_has_any(manager))
		{
			ike_sa_manager_t *stock = delegate(manager,
											IVO_MANAGER_CREATE_ENUMERATOR);

			this->rest = stock->create_enumerator(stock, this->wait);
		}
	}
	return this->rest && this->rest->enumerate(this->rest, out);
}

METHOD(enumerator_t, destroy_sas, void,
	sa_enumerator_t *this)
{
	if (this->walk)
	{
		ivo_walk_end(this->walk);
	}
	DESTROY_IF(this->rest);
	charon->bus->set_sa(charon->bus, NULL);
	free(this);
}

METHOD(ike_sa_manager_t, create_enumerator, enumerator_t*,
	private_ivo_ike_sa_manager_t *this, bool wait)
{
	sa_enumerator_t *enumerator;

	serve(this, IVO_MANAGER_CREATE_ENUMERATOR);
	INIT(enumerator,
		.public = {
			.enumerate = enumerator_enumerate_default,
			.venumerate = _enumerate_sas,
			.destroy = _destroy_sas,
		},
		.walk = ivo_sessiontable_walk(this->table, wait, FALSE),
		.manager = this,
		.wait = wait,
	);
	return &enumerator->public;
}

CALLBACK(destroy_ids, void,
	linked_list_t *ids)
{
	ids->destroy_offset(ids, offsetof(ike_sa_id_t, destroy));
}

METHOD(ike_sa_manager_t, create_id_enumerator, enumerator_t*,
	private_ivo_ike_sa_manager_t *this, identification_t *me,
	identification_t *other, int family)
{
	ivo_peers_buffer_t buffer;
	ivo_ike_id_t *found;
	linked_list_t *ids;
	size_t count, i;

	serve(this, IVO_MANAGER_CREATE_ID_ENUMERATOR);
	ivo_peers_init(&buffer, me, other);
	count = ivo_sessiontable_ids(this->table, &buffer.peers, family_of(family),
								 &found);
	if (!count && !stock_has_any(this))
	{
		return enumerator_create_empty();
	}
	ids = linked_list_create();
	for (i = 0; i < count; i++)
	{
		ids->insert_last(ids, id_create(&found[i]));
	}
	free(found);
	if (stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this,
										IVO_MANAGER_CREATE_ID_ENUMERATOR);
		enumerator_t *enumerator;
		ike_sa_id_t *id;

		enumerator = stock->create_id_enumerator(stock, me, other, family);
		while (enumerator->enumerate(enumerator, &id))
		{
			ids->insert_last(ids, id->clone(id));
		}
		enumerator->destroy(enumerator);
	}
	return enumerator_create_cleaner(ids->create_enumerator(ids),
									 (void*)destroy_ids, ids);
}

METHOD(ike_sa_manager_t, checkin_and_destroy, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	serve(this, IVO_MANAGER_CHECKIN_AND_DESTROY);
	switch (ivo_sessiontable_destroy_sa(this->table, ike_sa))
	{
		case IVO_DESTROYED:
		case IVO_LEFT_TO_FLUSH:
			break;
		case IVO_NOT_REGISTERED:
			if (ivo_foreign_sas_remove(this->foreign, ike_sa))
			{
				ike_sa_manager_t *stock = delegate(this,
											IVO_MANAGER_CHECKIN_AND_DESTROY);

				stock->checkin_and_destroy(stock, ike_sa);
				break;
			}
			DBG1(DBG_MGR, "IKE_SA to destroy is not registered");
			destroy_sa(&this->charon, ike_sa);
			break;
	}
}

/**
 * Let a new IKE_SA have the CHILD_SAs and virtual IPs of the old one
 */
static void adopt_children_and_vips(ike_sa_t *old, ike_sa_t *new)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	host_t *vip;
	u_int children = 0, vips = 0;

	charon->bus->children_migrate(charon->bus, new->get_id(new),
								  new->get_unique_id(new));
	enumerator = old->create_child_sa_enumerator(old);
	while (enumerator->enumerate(enumerator, &child_sa))
	{
		old->remove_child_sa(old, enumerator);
		new->add_child_sa(new, child_sa);
		children++;
	}
	enumerator->destroy(enumerator);

	new->adopt_child_tasks(new, old);

	enumerator = old->create_virtual_ip_enumerator(old, FALSE);
	while (enumerator->enumerate(enumerator, &vip))
	{
		new->add_virtual_ip(new, FALSE, vip);
		vips++;
	}
	enumerator->destroy(enumerator);
	/* raises assign_vips(FALSE) for the old one but releases nothing; the new
	 * one gets its event, with itself on the bus */
	old->clear_virtual_ips(old, FALSE);
	charon->bus->set_sa(charon->bus, new);
	charon->bus->assign_vips(charon->bus, new, TRUE);
	charon->bus->children_migrate(charon->bus, NULL, 0);
	charon->bus->set_sa(charon->bus, old);

	if (children || vips)
	{
		DBG1(DBG_IKE, "IKE_SA was reauthenticated, the new one takes over %u "
			 "CHILD_SAs and %u virtual IPs", children, vips);
	}
}

/**
 * The uniqueness policy replaces a duplicate
 *
 * @return			DESTROY_ME if the duplicate is to be destroyed at once
 */
static status_t replace(ike_sa_t *duplicate, ike_sa_t *new,
						identification_t *other, host_t *host)
{
	charon->bus->alert(charon->bus, ALERT_UNIQUE_REPLACE);

	if (!host->equals(host, duplicate->get_other_host(duplicate)))
	{
		DBG1(DBG_IKE, "uniqueness policy deletes the old IKE_SA of peer '%Y'",
			 other);
		return duplicate->delete(duplicate, FALSE);
	}
	/* the same endpoint: it reauthenticates. IKEv1 moves CHILD_SAs silently,
	 * IKEv2 makes new ones. Either needs the old IKE_SA a little longer: some
	 * IKEv1 peers lose quick modes, and IKEv2's old CHILD_SAs carry traffic */
	if (new->get_version(new) == IKEV1 &&
		!new->has_condition(new, COND_INIT_CONTACT_SEEN))
	{
		adopt_children_and_vips(duplicate, new);
	}
	lib->scheduler->schedule_job(lib->scheduler, (job_t*)
			delete_ike_sa_job_create(duplicate->get_id(duplicate), TRUE), 10);
	DBG1(DBG_IKE, "uniqueness policy deletes the old IKE_SA of peer '%Y' soon, "
		 "as the peer seems to reauthenticate", other);
	return SUCCESS;
}

/**
 * Apply the uniqueness policy to a duplicate
 *
 * @param policy	changed to replace those that follow, if this one is kept
 * @param cancel	set if the new one is not to be established
 * @return			DESTROY_ME if the duplicate is to be destroyed at once
 */
static status_t apply_policy(ike_sa_t *duplicate, ike_sa_t *ike_sa,
							 unique_policy_t *policy, bool *cancel)
{
	identification_t *other = ike_sa->get_other_eap_id(ike_sa);
	host_t *host = ike_sa->get_other_host(ike_sa);
	peer_cfg_t *cfg = duplicate->get_peer_cfg(duplicate);
	ike_sa_state_t state = duplicate->get_state(duplicate);

	if (!cfg || !cfg->equals(cfg, ike_sa->get_peer_cfg(ike_sa)) ||
		(state != IKE_ESTABLISHED && state != IKE_REKEYING))
	{
		return SUCCESS;
	}
	switch (*policy)
	{
		case UNIQUE_REPLACE:
			return replace(duplicate, ike_sa, other, host);
		case UNIQUE_KEEP:
			/* the same endpoint may reauthenticate */
			if (!host->equals(host, duplicate->get_other_host(duplicate)))
			{
				*cancel = TRUE;
				*policy = UNIQUE_REPLACE;
			}
			return SUCCESS;
		default:
			return SUCCESS;
	}
}

METHOD(ike_sa_manager_t, check_uniqueness, bool,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa, bool force_replace)
{
	peer_cfg_t *peer_cfg = ike_sa->get_peer_cfg(ike_sa);
	unique_policy_t policy = peer_cfg->get_unique_policy(peer_cfg);
	identification_t *other = ike_sa->get_other_eap_id(ike_sa);
	host_t *host = ike_sa->get_other_host(ike_sa);
	enumerator_t *enumerator;
	ike_sa_id_t *id;
	bool cancel = FALSE;

	serve(this, IVO_MANAGER_CHECK_UNIQUENESS);
	if (policy == UNIQUE_NEVER || (policy == UNIQUE_NO && !force_replace))
	{
		return FALSE;
	}
	enumerator = create_id_enumerator(this, ike_sa->get_my_id(ike_sa), other,
									  host->get_family(host));
	while (enumerator->enumerate(enumerator, &id))
	{
		ike_sa_t *duplicate = checkout(this, id);

		if (!duplicate)
		{
			continue;
		}
		if (force_replace)
		{
			DBG1(DBG_IKE, "peer '%Y' sent INITIAL_CONTACT, destroying its old "
				 "IKE_SA", other);
			charon->bus->ike_updown(charon->bus, duplicate, FALSE);
			checkin_and_destroy(this, duplicate);
		}
		else if (apply_policy(duplicate, ike_sa, &policy,
							  &cancel) == DESTROY_ME)
		{
			checkin_and_destroy(this, duplicate);
		}
		else
		{
			this->public.checkin(&this->public, duplicate);
		}
	}
	enumerator->destroy(enumerator);
	/* giving up a duplicate took it off */
	charon->bus->set_sa(charon->bus, ike_sa);
	return cancel;
}

METHOD(ike_sa_manager_t, checkin, void,
	private_ivo_ike_sa_manager_t *this, ike_sa_t *ike_sa)
{
	ivo_peers_buffer_t buffer;
	bool wants_peers;

	serve(this, IVO_MANAGER_CHECKIN);
	if (ivo_foreign_sas_has(this->foreign, ike_sa) ||
		(switched_off(this) && !ivo_sessiontable_has(this->table, ike_sa)))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_CHECKIN);

		ivo_foreign_sas_add(this->foreign, ike_sa);
		stock->checkin(stock, ike_sa);
		return;
	}
	if (!ivo_sessiontable_update(this->table, ike_sa, &wants_peers))
	{
		DBG1(DBG_MGR, "out of memory, destroying new IKE_SA %s[%u]",
			 ike_sa->get_name(ike_sa), ike_sa->get_unique_id(ike_sa));
		destroy_sa(&this->charon, ike_sa);
		return;
	}
	if (wants_peers)
	{
		if (ike_sa->get_version(ike_sa) == IKEV1 &&
			ike_sa->has_condition(ike_sa, COND_INIT_CONTACT_SEEN))
		{	/* IKEv1 knows only now that the peer is authenticated. We hold
			 * this SA while we wait for the old ones; nobody who has one of
			 * these waits for this, as it has no peers yet */
			check_uniqueness(this, ike_sa, TRUE);
			ike_sa->set_condition(ike_sa, COND_INIT_CONTACT_SEEN, FALSE);
		}
		ivo_peers_init(&buffer, ike_sa->get_my_id(ike_sa),
					   ike_sa->get_other_eap_id(ike_sa));
		ivo_sessiontable_set_peers(this->table, ike_sa, &buffer.peers);
	}
	ivo_sessiontable_release(this->table, ike_sa);
	charon->bus->set_sa(charon->bus, NULL);
}

METHOD(ike_sa_manager_t, has_contact, bool,
	private_ivo_ike_sa_manager_t *this, identification_t *me,
	identification_t *other, int family)
{
	ivo_peers_buffer_t buffer;

	serve(this, IVO_MANAGER_HAS_CONTACT);
	ivo_peers_init(&buffer, me, other);
	if (ivo_sessiontable_has_contact(this->table, &buffer.peers,
									 family_of(family)))
	{
		return TRUE;
	}
	if (stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_HAS_CONTACT);

		return stock->has_contact(stock, me, other, family);
	}
	return FALSE;
}

METHOD(ike_sa_manager_t, get_count, u_int,
	private_ivo_ike_sa_manager_t *this)
{
	u_int count = ivo_sessiontable_count(this->table);

	serve(this, IVO_MANAGER_GET_COUNT);
	if (stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this, IVO_MANAGER_GET_COUNT);

		count += stock->get_count(stock);
	}
	return count;
}

METHOD(ike_sa_manager_t, get_half_open_count, u_int,
	private_ivo_ike_sa_manager_t *this, host_t *ip, bool responder_only)
{
	ivo_address_t address;
	u_int count;

	serve(this, IVO_MANAGER_GET_HALF_OPEN_COUNT);
	if (ip)
	{
		address = ivo_address_of(ip);
	}
	count = ivo_sessiontable_half_open(this->table, ip ? &address : NULL,
									   responder_only);
	if (stock_has_any(this))
	{
		ike_sa_manager_t *stock = delegate(this,
										IVO_MANAGER_GET_HALF_OPEN_COUNT);

		count += stock->get_half_open_count(stock, ip, responder_only);
	}
	return count;
}

METHOD(ike_sa_manager_t, set_spi_cb, void,
	private_ivo_ike_sa_manager_t *this, spi_cb_t callback, void *data)
{
	serve(this, IVO_MANAGER_SET_SPI_CB);
	this->spi_lock->write_lock(this->spi_lock);
	this->spi_cb = callback;
	this->spi_data = data;
	this->spi_lock->unlock(this->spi_lock);
	if (this->stock)
	{	/* makes SPIs as long as the plugin is switched off */
		stock_in_step(this, IVO_MANAGER_SET_SPI_CB)->set_spi_cb(this->stock,
															callback, data);
	}
}

METHOD(ike_sa_manager_t, flush, void,
	private_ivo_ike_sa_manager_t *this)
{
	serve(this, IVO_MANAGER_FLUSH);
	/* no new IKE_SAs from here on */
	this->spi_lock->write_lock(this->spi_lock);
	DESTROY_IF(this->rng);
	this->rng = NULL;
	this->spi_cb = NULL;
	this->spi_data = NULL;
	this->spi_lock->unlock(this->spi_lock);

	ivo_sessiontable_flush(this->table);
	if (this->stock)
	{	/* only this frees its generator */
		stock_in_step(this, IVO_MANAGER_FLUSH)->flush(this->stock);
	}
}

METHOD(ike_sa_manager_t, destroy, void,
	private_ivo_ike_sa_manager_t *this)
{
	/* those that were checked in after flush() */
	ivo_sessiontable_clear(this->table);
	DESTROY_IF(this->rng);
	ivo_foreign_sas_destroy(this->foreign);
	this->configs->destroy(this->configs);
	this->config_mutex->destroy(this->config_mutex);
	this->config_condvar->destroy(this->config_condvar);
	this->spi_lock->destroy(this->spi_lock);
	free(this);
}

/**
 * Read an SPI mask or label, in network order
 */
static uint64_t get_spi_option(char *name)
{
	char *value;

	value = lib->settings->get_str(lib->settings, "%s.%s", NULL, lib->ns, name);
	return htobe64(settings_value_as_uint64(value, 0));
}

/**
 * Read a number that is not negative
 */
static uint32_t get_count_option(char *name, int fallback)
{
	int value = lib->settings->get_int(lib->settings, "%s.%s", fallback,
									   lib->ns, name);

	return value > 0 ? (uint32_t)value : 0;
}

/**
 * Bits of an initiator SPI that stay when it changes. In charon's own table they
 * choose the row; we do not need that, but a changed SPI looks the same so
 */
static uint64_t get_kept_spi_bits(void)
{
	uint64_t rows = 1, wanted;

	wanted = get_count_option("ikesa_table_size", 1);
	while (rows < wanted && rows < MAX_TABLE_ROWS)
	{
		rows *= 2;
	}
	return rows - 1;
}

/*
 * Described in header.
 */
ike_sa_manager_t *ivo_ike_sa_manager_create(ivo_sessiontable_t *table,
											ike_sa_manager_t *stock)
{
	private_ivo_ike_sa_manager_t *this;
	ivo_sessiontable_settings_t settings = {
		.ikesa_limit = get_count_option("ikesa_limit", 0),
		.threads = get_count_option("threads", DEFAULT_THREADS),
	};
	rng_t *rng;

	rng = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
	if (!rng)
	{
		DBG1(DBG_MGR, "no random number generator for SPIs");
		return NULL;
	}

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
		.charon = {
			.describe = describe,
			.other_address = other_address,
			.unique_id = unique_id,
			.new_spi = new_spi,
			.create = create_responder,
			.destroy = destroy_sa,
			.enter = enter,
			.close = close_sa,
		},
		.stock = stock,
		.foreign = ivo_foreign_sas_create(),
		.rng = rng,
		.spi_lock = rwlock_create(RWLOCK_TYPE_DEFAULT),
		.spi_mask = get_spi_option("spi_mask"),
		.spi_label = get_spi_option("spi_label"),
		.kept_spi_bits = get_kept_spi_bits(),
		.reuse_ikesa = lib->settings->get_bool(lib->settings, "%s.reuse_ikesa",
											   TRUE, lib->ns),
		.configs = linked_list_create(),
		.config_mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.config_condvar = condvar_create(CONDVAR_TYPE_DEFAULT),
	);
	ivo_sessiontable_attach(table, &this->charon, &settings);

	return &this->public;
}
