/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Packets, and checking out by them.
 */

#include "operations.h"

#include <encoding/message.h>
#include <processing/jobs/process_message_job.h>

#include "prng.h"

/** Bytes of an IKE header. */
#define HEADER_LEN 28

/** First payloads, as the header numbers them. */
#define PAYLOAD_SA_V1 1
#define PAYLOAD_SA_V2 33
#define PAYLOAD_ENCRYPTED 46
#define PAYLOAD_FRAGMENT_V2 53
#define PAYLOAD_FRAGMENT_V1 132

/** Flags of the header. */
#define FLAG_INITIATOR 0x08
#define FLAG_RESPONSE 0x20

typedef struct header_t header_t;

/**
 * What a packet is made of.
 */
struct header_t {
	uint64_t spi_i;
	uint64_t spi_r;
	uint8_t first_payload;
	uint8_t version;
	uint8_t exchange;
	uint8_t flags;
	uint32_t message_id;
};

static chunk_t write_packet(const header_t *header, uint32_t body)
{
	chunk_t data = chunk_alloc(HEADER_LEN + sizeof(body));

	memcpy(data.ptr, &header->spi_i, 8);
	memcpy(data.ptr + 8, &header->spi_r, 8);
	data.ptr[16] = header->first_payload;
	data.ptr[17] = header->version << 4;
	data.ptr[18] = header->exchange;
	data.ptr[19] = header->flags;
	htoun32(data.ptr + 20, header->message_id);
	htoun32(data.ptr + 24, (uint32_t)data.len);
	memcpy(data.ptr + HEADER_LEN, &body, sizeof(body));
	return data;
}

/**
 * Make a message as the receiver does.
 */
static message_t *receive(chunk_t data, int peer)
{
	host_t *source = environment->peers[peer], *me = environment->me;
	message_t *message;

	message = message_create_from_packet(packet_create_from_data(source->clone(source), me->clone(me), data));
	if (message->parse_header(message) != SUCCESS)
	{
		message->destroy(message);
		return NULL;
	}
	return message;
}

/**
 * Does a message open an IKE_SA?
 */
static bool is_initial(message_t *message)
{
	ike_sa_id_t *id = message->get_ike_sa_id(message);

	if (id->get_responder_spi(id) || message->get_message_id(message))
	{
		return FALSE;
	}
	switch (message->get_exchange_type(message))
	{
		case IKE_SA_INIT:
			return message->get_request(message);
		case ID_PROT:
		case AGGRESSIVE:
			return TRUE;
		default:
			return FALSE;
	}
}

/**
 * What makes two initial messages the same, and the later one a retransmit.
 */
static chunk_t retransmit_key(message_t *message)
{
	host_t *source = message->get_source(message);
	uint16_t port = source->get_port(source);
	uint64_t spi = message->get_initiator_spi(message);

	if (message->get_first_payload_type(message) == PLV1_FRAGMENT)
	{
		return chunk_cat("ccc", source->get_address(source), chunk_from_thing(port), chunk_from_thing(spi));
	}
	if (message->get_exchange_type(message) == ID_PROT)
	{
		return chunk_cat("cc", source->get_address(source), message->get_packet_data(message));
	}
	return chunk_clone(message->get_packet_data(message));
}

/**
 * What keeps a message out while an SA is busy with the same.
 */
static uint32_t processing_key(message_t *message)
{
	if (message->get_major_version(message) == IKEV1_MAJOR_VERSION &&
		(!message->get_message_id(message) || message->get_exchange_type(message) == QUICK_MODE))
	{
		return chunk_hash(message->get_packet_data(message));
	}
	return message->get_message_id(message);
}

static bool has_init(sa_t *sa, void *arg)
{
	return sa->registered && sa->init.ptr && chunk_equals(sa->init, *(chunk_t*)arg);
}

static void execute_message(manager_call_t *this)
{
	/* this tracks initial messages, as for each packet that the receiver takes */
	this->job = (job_t*)process_message_job_create(this->message);
	this->got = run->manager->checkout_by_message(run->manager, this->message);
}

static void execute_packet(manager_call_t *this)
{
	ike_sa_manager_t *manager = run->manager;
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;

	this->job = (job_t*)process_message_job_create(this->message);
	this->job->execute(this->job);
	/* the SA that it made may not have shown up in any event */
	enumerator = manager->create_enumerator(manager, FALSE);
	while (enumerator->enumerate(enumerator, &ike_sa))
	{
		this->seen[this->seen_count++] = sa_of(ike_sa, NULL);
	}
	enumerator->destroy(enumerator);
}

/**
 * Half-open counts that the manager does not lower again: see allowed.h.
 */
static void note_leak(manager_call_t *this)
{
	int i;

	if (this->message->get_request(this->message) && this->message->get_exchange_type(this->message) == IKE_SA_INIT)
	{
		coverage_outcome(METHOD_TRACK_INIT, OUTCOME_DONE);
		if (!this->init.ptr && run->side->leaks_half_open)
		{
			for (i = 0; i < PEER_HOSTS; i++)
			{
				host_t *source = this->message->get_source(this->message);

				run->leaked[i] += source->ip_equals(source, environment->peers[i]);
			}
			run->leaked_total++;
		}
	}
}

/**
 * Note what a new SA was made of.
 */
static void note_initial(manager_call_t *this, sa_t *sa)
{
	host_t *source = this->message->get_source(this->message), *other = sa->ike_sa->get_other_host(sa->ike_sa);

	sa->init = chunk_clone(this->init);
	/* the manager knows the message's address, and the SA none yet */
	sa->family_changed = source->get_family(source) != other->get_family(other);
}

static void finish_message(manager_call_t *this, int actor)
{
	sa_t *sa;

	note_leak(this);
	finish_got(this, actor);
	if (!this->got)
	{
		return;
	}
	sa = sa_of(this->got, NULL);
	if (this->init.ptr && !sa->init.ptr && this->expected == OUTCOME_NEW)
	{
		note_initial(this, sa);
		sa->processing = this->processing;
	}
	else if (!this->fragment)
	{
		sa->processing = this->processing;
	}
}

static void finish_packet(manager_call_t *this, int actor __attribute__((unused)))
{
	sa_t *newest = NULL;
	int i;

	note_leak(this);
	for (i = 0; i < this->seen_count; i++)
	{
		if (!newest || this->seen[i]->label > newest->label)
		{
			newest = this->seen[i];
		}
	}
	if (this->expected == OUTCOME_NEW && newest && (uint32_t)newest->label >= this->number && !newest->init.ptr)
	{
		note_initial(this, newest);
	}
}

/**
 * Remember an initial message for retransmits.
 */
static void keep_sent(chunk_t data, int peer)
{
	sent_t *sent = &run->sent[run->sent_count++ % MAX_PACKETS];

	free(sent->data.ptr);
	sent->data = chunk_clone(data);
	sent->peer = peer;
}

/**
 * Let an actor check out by a message, or process it like a job does.
 */
static bool start_message(int actor, chunk_t data, int peer, bool process)
{
	const options_t *options = &run->sequence->options;
	message_t *message;
	manager_call_t *call;
	ike_sa_id_t *id;
	id_key_t key;
	bool depends = FALSE, initial;
	sa_t *target;
	char buf[64];

	message = receive(data, peer);
	if (!message)
	{
		run_wrong("the receiver would have dropped a message");
		return FALSE;
	}
	id = message->get_ike_sa_id(message);
	key = key_of(id);
	key.initiator = !key.initiator;
	initial = is_initial(message);
	call = call_create(process ? METHOD_COUNT : METHOD_CHECKOUT_BY_MESSAGE,
					   "%s(%s %s %u, first payload %d, %s, from peer%d)",
					   process ? "process_message_job" : "checkout_by_message",
					   enum_to_name(exchange_type_names, message->get_exchange_type(message)),
					   message->get_request(message) ? "request" : "response", message->get_message_id(message),
					   message->get_first_payload_type(message), key_name(&key, buf), peer);
	call->message = message;
	call->processing = processing_key(message);
	call->fragment = message->get_first_payload_type(message) == PLV1_FRAGMENT ||
					 message->get_first_payload_type(message) == PLV2_FRAGMENT;
	call->execute = process ? execute_packet : execute_message;
	call->finish = process ? finish_packet : finish_message;
	call->number = run->sa_count;
	if (initial)
	{
		call->init = retransmit_key(message);
		target = sa_choose(0, has_init, &call->init);
		call->expected = target ? OUTCOME_RETRANSMIT : OUTCOME_NEW;
		if (!target && run->spi_source == SPIS_NONE)
		{
			call->expected = OUTCOME_NO_SPI;
		}
		else if (!target && options->ikesa_limit &&
				 run->manager->get_count(run->manager) >= (u_int)options->ikesa_limit)
		{
			call->expected = OUTCOME_LIMIT;
		}
		if (target)
		{	/* it is looked up by the SPI that was allocated for the first copy */
			target = sa_match(&target->key, &depends);
		}
	}
	else
	{
		target = sa_match(&key, &depends);
		call->expected = target ? OUTCOME_HIT : OUTCOME_MISS;
	}
	if (target && target->processing == call->processing)
	{
		call->expected = OUTCOME_PROCESSING;
	}
	if (depends || (process && target && target->holder != -1) ||
		/* that leaves a mutex locked in 5.9.8 */
		(call->expected == OUTCOME_NO_SPI && options->actors > 1) ||
		(!target && initial && (walk_waits() || disturbs(NULL))) ||
		(call->expected != OUTCOME_PROCESSING &&
		 !want(actor, call, target, target && target->key.spi_r ? WAITS_PLAIN : WAITS_ALONE)))
	{
		free(call->init.ptr);
		free(call);
		message->destroy(message);
		return FALSE;
	}
	if (initial)
	{
		keep_sent(message->get_packet_data(message), peer);
	}
	run_call(actor, call);
	return TRUE;
}

/**
 * Is an SA busy with a message that is known by its message ID, and not by a hash of the packet?
 */
static bool has_message_id(sa_t *sa)
{
	return sa->key.version == IKEV2_MAJOR_VERSION && sa->processing < 256;
}

/**
 * A header for a message that belongs to an SA.
 */
static header_t header_for(sa_t *sa, uint32_t choice)
{
	static const uint8_t exchanges_v1[] = { INFORMATIONAL_V1, QUICK_MODE, TRANSACTION };
	static const uint8_t exchanges_v2[] = { IKE_AUTH, INFORMATIONAL, CREATE_CHILD_SA };
	header_t header = {
		.spi_i = sa->key.spi_i,
		.spi_r = sa->key.spi_r,
		.first_payload = PAYLOAD_ENCRYPTED,
		.version = sa->key.version,
		.message_id = 1 + choice / 3 % 3,
	};

	if (header.version == IKEV1_MAJOR_VERSION)
	{
		header.exchange = exchanges_v1[choice % countof(exchanges_v1)];
		header.first_payload = 8;
	}
	else
	{
		header.exchange = exchanges_v2[choice % countof(exchanges_v2)];
		header.flags = sa->key.initiator ? 0 : FLAG_INITIATOR;
	}
	return header;
}

/**
 * A header for a message that opens an SA.
 */
static header_t initial_header(uint64_t spi_i, uint32_t choice)
{
	header_t header = {
		.spi_i = spi_i,
		.version = IKEV2_MAJOR_VERSION,
		.exchange = IKE_SA_INIT,
		.flags = FLAG_INITIATOR,
		.first_payload = PAYLOAD_SA_V2,
	};

	if (choice % 3 == 0)
	{
		header.version = IKEV1_MAJOR_VERSION;
		header.exchange = choice / 3 % 3 ? ID_PROT : AGGRESSIVE;
		header.flags = 0;
		header.first_payload = choice / 9 % 4 ? PAYLOAD_SA_V1 : PAYLOAD_FRAGMENT_V1;
	}
	return header;
}

/* described in header */
void operate_message(int actor, const uint32_t choice[CHOICES])
{
	prng_t prng = { .state = choice[1] };
	header_t header;
	int peer = choice[2] % PEER_HOSTS;
	sent_t *sent;
	sa_t *sa;

	if (choice[0] % 20 < 5)
	{
		header = initial_header(prng_next(&prng), choice[3]);
		/* a peer that chose the SPI of another one, which IKEv1 does not mind */
		sa = sa_choose(choice[4] / 16, choice[4] / 4 % 4 ? is_ikev1_responder : is_registered, NULL);
		if (sa && (header.version == IKEV1_MAJOR_VERSION || choice[4] / 4 % 4 == 0))
		{
			header.spi_i = sa->key.spi_i;
		}
		start_message(actor, write_packet(&header, choice[4] % 4), peer, FALSE);
		return;
	}
	if (choice[0] % 20 < 8)
	{
		if (run->sent_count)
		{
			sent = &run->sent[choice[1] % min(run->sent_count, MAX_PACKETS)];
			start_message(actor, chunk_clone(sent->data), choice[3] % 4 ? sent->peer : peer, FALSE);
		}
		return;
	}
	if (choice[0] % 20 == 8)
	{
		start_message(actor, chunk_clone(environment->captured[choice[1] % CAPTURED]),
					  choice[1] % CAPTURED / 2 % PEER_HOSTS, FALSE);
		return;
	}
	sa = run->messaged;
	if (!sa || !sa->alive || !sa->registered || choice[3] % 2)
	{	/* half of them go where the last one went */
		sa = run->messaged = sa_choose(choice[3] / 2, is_registered, NULL);
	}
	if (!sa)
	{
		return;
	}
	header = header_for(sa, choice[4]);
	switch (choice[0] % 20)
	{
		default:
			break;
		case 11:
			/* what it is busy with */
			if (has_message_id(sa))
			{
				header.message_id = sa->processing;
				header.exchange = INFORMATIONAL;
			}
			break;
		case 12:
			/* from the wrong side */
			header.flags ^= FLAG_INITIATOR;
			break;
		case 13:
			if (choice[4] % 2)
			{
				header.spi_r = prng_next(&prng);
			}
			else
			{
				header.spi_i = prng_next(&prng);
			}
			break;
		case 14:
			/* the answer to our first message */
			if (!sa->key.initiator)
			{
				return;
			}
			header.spi_r = sa->key.spi_r ?: prng_next(&prng);
			header.message_id = 0;
			header.flags = FLAG_RESPONSE;
			header.first_payload = PAYLOAD_SA_V2;
			header.exchange = IKE_SA_INIT;
			if (header.version == IKEV1_MAJOR_VERSION)
			{
				header.flags = 0;
				header.first_payload = PAYLOAD_SA_V1;
				header.exchange = ID_PROT;
			}
			break;
		case 15:
			header.spi_i = prng_next(&prng);
			header.spi_r = prng_next(&prng);
			break;
		case 16:
			/* an IKE_SA_INIT request that does not open an SA */
			header.version = IKEV2_MAJOR_VERSION;
			header.exchange = IKE_SA_INIT;
			header.flags = FLAG_INITIATOR;
			header.message_id = choice[4] % 2;
			if (choice[4] % 3 == 0)
			{
				header.spi_r = prng_next(&prng);
			}
			else if (choice[4] % 3 == 1)
			{
				header.message_id = 1;
				header.spi_i = prng_next(&prng);
				header.spi_r = 0;
			}
			break;
		case 17:
			/* SPIs of one version with the other's header */
			if (sa->key.version == IKEV2_MAJOR_VERSION)
			{
				header.version = IKEV1_MAJOR_VERSION;
				header.exchange = QUICK_MODE;
				header.flags = 0;
			}
			else
			{
				header.version = IKEV2_MAJOR_VERSION;
				header.exchange = INFORMATIONAL;
				header.flags = choice[4] % 2 ? FLAG_INITIATOR : 0;
			}
			break;
		case 18:
			if (sa->key.version == IKEV2_MAJOR_VERSION)
			{
				header.first_payload = PAYLOAD_FRAGMENT_V2;
			}
			else
			{
				header.first_payload = PAYLOAD_FRAGMENT_V1;
			}
			break;
		case 19:
			if (choice[4] % 4 == 0)
			{
				header.message_id = 0xffffffff;
			}
			else
			{
				header.spi_r = 0;
			}
			break;
	}
	start_message(actor, write_packet(&header, choice[4] % 4), peer, FALSE);
}

/* described in header */
void operate_packet(int actor, const uint32_t choice[CHOICES])
{
	prng_t prng = { .state = choice[1] };
	header_t header;
	int index = choice[1] % CAPTURED;

	if (choice[0] % 4)
	{
		start_message(actor, chunk_clone(environment->captured[index]), index / 2 % PEER_HOSTS, TRUE);
	}
	else
	{
		header = initial_header(prng_next(&prng), choice[3]);
		start_message(actor, write_packet(&header, choice[4] % 4), choice[2] % PEER_HOSTS, TRUE);
	}
}

/* described in header */
bool start_request(int actor, sa_t *sa, const uint32_t choice[CHOICES], bool same)
{
	header_t header = header_for(sa, choice[2]);

	if (same && has_message_id(sa))
	{
		header.message_id = sa->processing;
	}
	return start_message(actor, write_packet(&header, choice[3] % 4), choice[4] % PEER_HOSTS, FALSE);
}
