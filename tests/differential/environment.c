/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "environment.h"

#include <stdio.h>

#include <credentials/sets/mem_cred.h>
#include <sa/child_sa_manager.h>
#include <threading/mutex.h>

#define UNUSED __attribute__((unused))

/** What a responder needs to answer IKE_SA_INIT and what the managers themselves need. */
#define PLUGINS "random nonce openssl"

/** Offered and accepted everywhere; cheap to compute. */
#define PROPOSAL "aes128-sha256-x25519"

static environment_t env;

environment_t *environment = &env;

/** Pre-shared keys for IKEv1, whose main mode looks one up. */
static mem_cred_t *creds;

#define RESPONDER_CFGS 2

/** The configs that initial messages are answered with. */
static ike_cfg_t *responder_cfgs[RESPONDER_CFGS];

/**
 * A sender that keeps the last packet.
 */
static packet_t *last_packet;

static mutex_t *sender_mutex;

static void send_packet(sender_t *this UNUSED, packet_t *packet)
{
	sender_mutex->lock(sender_mutex);
	DESTROY_IF(last_packet);
	last_packet = packet;
	sender_mutex->unlock(sender_mutex);
}

static sender_t keeping_sender = {
	.send = send_packet,
	.send_no_marker = send_packet,
	.flush = (void*)nop,
	.destroy = (void*)nop,
};

/**
 * Writes to stderr what charon logs.
 */
static void log_message(logger_t *this UNUSED, debug_t group, level_t level UNUSED, int thread, ike_sa_t *ike_sa UNUSED,
	const char *message)
{
	fprintf(stderr, "  [thread %d, %s] %s\n", thread, enum_to_name(debug_names, group), message);
}

static level_t get_level(logger_t *this UNUSED, debug_t group)
{
	return group == DBG_MGR ? LEVEL_DIAG : LEVEL_CTRL;
}

static logger_t stderr_logger = {
	.log = log_message,
	.get_level = get_level,
};

static enumerator_t *create_ike_cfg_enumerator(backend_t *this UNUSED, host_t *me UNUSED,
											 host_t *other UNUSED)
{
	linked_list_t *list = linked_list_create();
	int i;

	for (i = 0; i < RESPONDER_CFGS; i++)
	{
		list->insert_last(list, responder_cfgs[i]);
	}
	return enumerator_create_cleaner(list->create_enumerator(list), (void*)list->destroy, list);
}

static enumerator_t *create_peer_cfg_enumerator(backend_t *this UNUSED, identification_t *me UNUSED,
											  identification_t *other UNUSED)
{
	return enumerator_create_empty();
}

static backend_t backend = {
	.create_ike_cfg_enumerator = create_ike_cfg_enumerator,
	.create_peer_cfg_enumerator = create_peer_cfg_enumerator,
	.get_peer_cfg_by_name = (void*)return_null,
};

static ike_cfg_t *create_ike_cfg(ike_version_t version, char *local, char *remote)
{
	ike_cfg_create_t create = {
		.version = version,
		.local = local,
		.local_port = IKEV2_UDP_PORT,
		.remote = remote,
		.remote_port = IKEV2_UDP_PORT,
	};
	ike_cfg_t *cfg = ike_cfg_create(&create);

	cfg->add_proposal(cfg, proposal_create_from_string(PROTO_IKE, PROPOSAL));
	return cfg;
}

static peer_cfg_t *create_peer_cfg(char *name, ike_version_t version, char *local, unique_policy_t unique,
								   uint32_t keyingtries)
{
	peer_cfg_create_t create = {
		.cert_policy = CERT_SEND_IF_ASKED,
		.unique = unique,
		.keyingtries = keyingtries,
	};
	peer_cfg_t *cfg;
	int i;

	cfg = peer_cfg_create(name, create_ike_cfg(version, local, "%any"), &create);
	for (i = 0; i < 2; i++)
	{
		auth_cfg_t *auth = auth_cfg_create();

		auth->add(auth, AUTH_RULE_AUTH_CLASS, AUTH_CLASS_PSK);
		if (i == 0)
		{
			auth->add(auth, AUTH_RULE_IDENTITY, env.my_ids[0]->clone(env.my_ids[0]));
		}
		cfg->add_auth_cfg(cfg, auth, i == 0);
	}
	return cfg;
}

/* described in header */
void environment_create_cfgs(uint32_t policies, peer_cfg_t *cfgs[PEER_CFGS])
{
	/* mostly those that do something */
	static const unique_policy_t drawn[] = {
		UNIQUE_NEVER, UNIQUE_NO, UNIQUE_REPLACE, UNIQUE_REPLACE, UNIQUE_REPLACE, UNIQUE_KEEP, UNIQUE_KEEP, UNIQUE_KEEP,
	};
	unique_policy_t unique[] = {
		drawn[policies & 7], drawn[policies >> 3 & 7], drawn[policies >> 6 & 7],
	};

	/* the name is not part of equality, the address in the IKE config is */
	cfgs[0] = create_peer_cfg("home", IKEV2, "192.0.2.1", unique[0], 1);
	cfgs[1] = create_peer_cfg("home-too", IKEV2, "192.0.2.1", unique[0], 1);
	cfgs[2] = create_peer_cfg("home-there", IKEV2, "192.0.2.2", unique[0], 1);
	cfgs[3] = create_peer_cfg("road", IKEV2, "192.0.2.1", unique[1], 3);
	cfgs[4] = create_peer_cfg("old", IKEV1, "192.0.2.1", unique[2], 1);
	cfgs[5] = create_peer_cfg("old-too", IKEV1, "192.0.2.1", unique[2], 1);
}

/**
 * Let a real initiator make its first packet.
 */
static chunk_t capture(ike_version_t version, uint64_t spi, host_t *host)
{
	ike_sa_id_t *id;
	ike_sa_t *ike_sa;
	peer_cfg_t *cfg;
	chunk_t data = chunk_empty;

	id = ike_sa_id_create(version == IKEV1 ? IKEV1_MAJOR_VERSION : IKEV2_MAJOR_VERSION, spi, 0, TRUE);
	ike_sa = ike_sa_create(id, TRUE, version);
	id->destroy(id);
	if (!ike_sa)
	{
		return chunk_empty;
	}
	cfg = create_peer_cfg("captured", version, "%any", UNIQUE_NO, 1);
	ike_sa->set_peer_cfg(ike_sa, cfg);
	cfg->destroy(cfg);
	ike_sa->set_my_host(ike_sa, host->clone(host));
	ike_sa->set_other_host(ike_sa, env.me->clone(env.me));
	charon->bus->set_sa(charon->bus, ike_sa);
	if (ike_sa->initiate(ike_sa, NULL, NULL) == SUCCESS && last_packet)
	{
		data = chunk_clone(last_packet->get_data(last_packet));
	}
	ike_sa->destroy(ike_sa);
	DESTROY_IF(last_packet);
	last_packet = NULL;
	return data;
}

static void create_objects(void)
{
	char *peers[] = {
		"198.51.100.10", "203.0.113.20", "198.51.100.30", "2001:db8::10", "2001:db8:1::20",
	};
	char *my_ids[] = {
		"gw.example.org", "gw2.example.org",
	};
	char *other_ids[] = {
		"alice@example.org", "192.0.2.77", "C=CH, O=IVO, CN=bob", "carol.example.org", "2001:db8::77",
	};
	char *children[] = {
		"net", "dmz",
	};
	shared_key_t *key;
	int i;

	env.me = host_create_from_string("192.0.2.1", IKEV2_UDP_PORT);
	for (i = 0; i < PEER_HOSTS; i++)
	{
		env.peers[i] = host_create_from_string(peers[i], i % 2 ? IKEV2_NATT_PORT : IKEV2_UDP_PORT);
	}
	for (i = 0; i < MY_IDS; i++)
	{
		env.my_ids[i] = identification_create_from_string(my_ids[i]);
	}
	for (i = 0; i < OTHER_IDS; i++)
	{
		env.other_ids[i] = identification_create_from_string(other_ids[i]);
	}
	for (i = 0; i < CHILD_CFGS; i++)
	{
		child_cfg_create_t create = {
			.mode = MODE_TUNNEL,
		};
		env.children[i] = child_cfg_create(children[i], &create);
	}
	responder_cfgs[0] = create_ike_cfg(IKEV2, "%any", "%any");
	responder_cfgs[1] = create_ike_cfg(IKEV1, "%any", "%any");
	key = shared_key_create(SHARED_IKE, chunk_clone(chunk_from_str("differential")));
	creds->add_shared(creds, key, identification_create_from_string("%any"), NULL);
}

/* described in header */
bool environment_init(void)
{
	int i;

	dbg_default_set_level(LEVEL_SILENT);
	if (!library_init("", "charon") || !libcharon_init())
	{
		fprintf(stderr, "differential: libcharon refuses to initialise (its integrity check failed)\n");
		return FALSE;
	}
	if (!lib->plugins->load(lib->plugins, PLUGINS) ||
		!lib->plugins->has_feature(lib->plugins, (plugin_feature_t)PLUGIN_PROVIDE(HASHER, HASH_SHA1)) ||
		!lib->plugins->has_feature(lib->plugins, (plugin_feature_t)PLUGIN_PROVIDE(RNG, RNG_WEAK)))
	{
		fprintf(stderr, "differential: can not load the plugins '%s'; are Debian's libstrongswan and its plugins "
				"installed?\n", PLUGINS);
		return FALSE;
	}
	sender_mutex = mutex_create(MUTEX_TYPE_DEFAULT);
	charon->sender = &keeping_sender;
	charon->child_sa_manager = child_sa_manager_create();
	creds = mem_cred_create();
	lib->credmgr->add_set(lib->credmgr, &creds->set);
	create_objects();
	charon->backends->add_backend(charon->backends, &backend);
	for (i = 0; i < CAPTURED; i++)
	{
		env.captured[i] = capture(i % 2 ? IKEV1 : IKEV2, htobe64(0xca90000000000000ull + i + 1),
								  env.peers[i / 2 % PEER_HOSTS]);
		if (!env.captured[i].len)
		{
			fprintf(stderr, "differential: charon's own initiator makes no first message; run with --verbose\n");
			return FALSE;
		}
	}
	lib->scheduler->flush(lib->scheduler);
	return TRUE;
}

/* described in header */
void environment_deinit(void)
{
	int i;

	for (i = 0; i < CAPTURED; i++)
	{
		chunk_free(&env.captured[i]);
	}
	for (i = 0; i < CHILD_CFGS; i++)
	{
		env.children[i]->destroy(env.children[i]);
	}
	for (i = 0; i < OTHER_IDS; i++)
	{
		env.other_ids[i]->destroy(env.other_ids[i]);
	}
	for (i = 0; i < MY_IDS; i++)
	{
		env.my_ids[i]->destroy(env.my_ids[i]);
	}
	for (i = 0; i < PEER_HOSTS; i++)
	{
		env.peers[i]->destroy(env.peers[i]);
	}
	env.me->destroy(env.me);
	for (i = 0; i < RESPONDER_CFGS; i++)
	{
		responder_cfgs[i]->destroy(responder_cfgs[i]);
	}
	charon->backends->remove_backend(charon->backends, &backend);
	lib->credmgr->remove_set(lib->credmgr, &creds->set);
	creds->destroy(creds);
	charon->child_sa_manager->destroy(charon->child_sa_manager);
	charon->child_sa_manager = NULL;
	DESTROY_IF(last_packet);
	charon->sender = NULL;
	sender_mutex->destroy(sender_mutex);
	libcharon_deinit();
	library_deinit();
}

/* described in header */
void environment_log(bool on)
{
	if (on)
	{
		charon->bus->add_logger(charon->bus, &stderr_logger);
	}
	else
	{
		charon->bus->remove_logger(charon->bus, &stderr_logger);
	}
}
