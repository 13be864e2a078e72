/* SPDX-License-Identifier: GPL-2.0-or-later */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "allowed.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <encoding/message.h>
#include <processing/jobs/process_message_job.h>
#include <sa/ikev2/tasks/ike_delete.h>

#include "actors.h"
#include "environment.h"
#include "run.h"

typedef struct step_t step_t;

/** Seconds for one test; a manager that never stops flushing is what one of them looks for. */
#define TEST_DEADLINE 60

/** Milliseconds of processor time that nothing here needs, valgrind aside. */
#define SPINNING_MS 400

/**
 * One call of a test.
 */
struct step_t {
	call_t call;
	void (*what)(step_t *this);
	/** to call with */
	ike_sa_t *ike_sa;
	ike_sa_id_t *id;
	message_t *message;
	uint32_t unique_id;
	/** what came of it */
	ike_sa_t *got;
	bool yes;
	int count;
};

/** The manager under test. */
static ike_sa_manager_t *manager;

/** Addresses, identities, configs. */
static peer_cfg_t *cfgs[PEER_CFGS];

/** What the SPI callback gives out. */
static uint64_t next_spi = 0x1000000000000001ull;

static uint64_t spi_callback(void *data __attribute__((unused)))
{
	return next_spi ? next_spi++ : 0;
}

static void execute_step(call_t *call)
{
	step_t *this = (step_t*)call;

	this->what(this);
}

/**
 * Let an actor do something.
 *
 * @return			TRUE if it returned, FALSE if it waits
 */
static bool step(int actor, step_t *this, void (*what)(step_t *this))
{
	this->call.run = execute_step;
	this->what = what;
	actors_post(actor, &this->call);
	actors_settle();
	return actors_collect(actor);
}

static void create_manager(const side_t *side, const options_t *options)
{
	manager = run_create_manager(side, options);
	manager->set_spi_cb(manager, spi_callback, NULL);
	environment_create_cfgs(0, cfgs);
	actors_start();
}

static options_t default_options(void)
{
	return (options_t){
		.actors = ACTORS,
		.table_size = 1,
		.table_segments = 1,
		.reuse_ikesa = TRUE,
		.half_open_timeout = 30,
	};
}

/*
 * Steps
 */

static void dress(ike_sa_t *ike_sa)
{
	ike_sa->set_peer_cfg(ike_sa, cfgs[0]);
	ike_sa->set_my_host(ike_sa, environment->me->clone(environment->me));
	ike_sa->set_other_host(ike_sa, environment->peers[0]->clone(environment->peers[0]));
	ike_sa->set_my_id(ike_sa, environment->my_ids[0]->clone(environment->my_ids[0]));
	ike_sa->set_other_id(ike_sa, environment->other_ids[0]->clone(environment->other_ids[0]));
}

/** Make an initiator and register it. */
static void create(step_t *this)
{
	this->got = manager->create_new(manager, IKEV2, TRUE);
	dress(this->got);
	manager->checkout_new(manager, this->got);
	this->unique_id = this->got->get_unique_id(this->got);
	this->ike_sa = this->got;
}

static void checkin(step_t *this)
{
	manager->checkin(manager, this->ike_sa);
}

static void create_and_checkin(step_t *this)
{
	create(this);
	checkin(this);
}

/** Make an established SA with given SPIs. */
static void establish(step_t *this, uint64_t spi_i, uint64_t spi_r)
{
	ike_sa_id_t *id;

	next_spi = spi_i;
	this->got = this->ike_sa = manager->create_new(manager, IKEV2, TRUE);
	dress(this->got);
	id = this->got->get_id(this->got);
	id->set_responder_spi(id, spi_r);
	this->got->set_state(this->got, IKE_CONNECTING);
	this->got->set_state(this->got, IKE_ESTABLISHED);
	this->unique_id = this->got->get_unique_id(this->got);
	manager->checkin(manager, this->got);
}

static void establish_first(step_t *this)
{
	establish(this, 0x2000000000000001ull, 0x3000000000000001ull);
}

static void checkout(step_t *this)
{
	this->got = manager->checkout(manager, this->id ?: this->ike_sa->get_id(this->ike_sa));
}

static void checkout_by_id(step_t *this)
{
	this->got = manager->checkout_by_id(manager, this->unique_id);
}

static void checkout_by_config(step_t *this)
{
	this->got = manager->checkout_by_config(manager, cfgs[0]);
}

static void checkin_and_destroy(step_t *this)
{
	manager->checkin_and_destroy(manager, this->ike_sa);
}

static void flush(step_t *this __attribute__((unused)))
{
	manager->flush(manager);
}

static void by_message(step_t *this)
{
	job_t *job = (job_t*)process_message_job_create(this->message);

	this->got = manager->checkout_by_message(manager, this->message);
	job->destroy(job);
}

/**
 * An IKE_SA_INIT request.
 */
static message_t *create_init(uint64_t spi_i, uint64_t spi_r)
{
	host_t *source = environment->peers[0], *me = environment->me;
	chunk_t data = chunk_alloc(28);
	message_t *message;

	memset(data.ptr, 0, data.len);
	memcpy(data.ptr, &spi_i, 8);
	memcpy(data.ptr + 8, &spi_r, 8);
	data.ptr[16] = 33;
	data.ptr[17] = IKEV2_MAJOR_VERSION << 4;
	data.ptr[18] = IKE_SA_INIT;
	data.ptr[19] = 0x08;
	htoun32(data.ptr + 24, (uint32_t)data.len);
	message = message_create_from_packet(packet_create_from_data(source->clone(source), me->clone(me), data));
	message->parse_header(message);
	return message;
}

/*
 * Tests
 */

static int test_half_open_leak(const side_t *side)
{
	options_t options = default_options();
	step_t this = { .message = create_init(1, 2) };

	create_manager(side, &options);
	step(0, &this, by_message);
	return this.got ? -1 : manager->get_half_open_count(manager, NULL, TRUE) == 1 ? 0 : 1;
}

static int test_mutex_left_locked(const side_t *side)
{
	options_t options = default_options();
	step_t first = { .message = create_init(1, 0) }, second = { .message = create_init(2, 0) };
	uint64_t spi = next_spi;

	create_manager(side, &options);
	next_spi = 0;
	if (!step(0, &first, by_message) || first.got)
	{
		return -1;
	}
	next_spi = spi;
	return step(1, &second, by_message) ? second.got ? 1 : -1 : 0;
}

static int test_register_while_flushing(const side_t *side)
{
	options_t options = default_options();
	step_t held = {}, flushing = {}, late = {}, release = {};
	struct timespec used, start;
	bool done = FALSE, spins = FALSE;

	create_manager(side, &options);
	/* made before, registered while flush() waits for the other one */
	step(0, &held, create);
	late.ike_sa = manager->create_new(manager, IKEV2, TRUE);
	if (step(1, &flushing, flush) || !step(2, &late, checkin))
	{
		return -1;
	}
	release.ike_sa = held.ike_sa;
	release.call.run = execute_step;
	release.what = checkin;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	actors_post(0, &release.call);
	/* it looks for the SA that it has lost for ever: who works that long for one SA never ends */
	while (!done && !spins)
	{
		done = actors_collect(1);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
		spins = (used.tv_sec - start.tv_sec) * 1000 + (used.tv_nsec - start.tv_nsec) / 1000000 > SPINNING_MS;
		if (!done)
		{
			usleep(5000);
		}
	}
	return spins ? 0 : manager->get_count(manager) ? -1 : 1;
}

/**
 * Find a responder by its initiator SPI only.
 */
static bool find_responder(const side_t *side, int table_size)
{
	options_t options = default_options();
	step_t found = {};
	ike_sa_id_t *id;
	int status;
	pid_t pid;

	pid = fork();
	if (pid)
	{
		waitpid(pid, &status, 0);
		return WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	options.table_size = table_size;
	create_manager(side, &options);
	next_spi = 0xfffffffffffffff1ull;
	found.ike_sa = manager->create_new(manager, IKEV2, FALSE);
	dress(found.ike_sa);
	id = found.ike_sa->get_id(found.ike_sa);
	id->set_initiator_spi(id, 7);
	step(0, &found, checkin);
	found.id = ike_sa_id_create(IKEV2_MAJOR_VERSION, 7, 0, FALSE);
	step(0, &found, checkout);
	_exit(found.got ? 1 : 0);
}

static int test_responder_without_spi(const side_t *side)
{
	bool small = find_responder(side, 1), large = find_responder(side, 256);

	return small && !large ? 0 : small == large ? 1 : -1;
}

/**
 * Is there a contact to an identity in capital letters?
 */
static bool find_capitals(const side_t *side, int table_size)
{
	options_t options = default_options();
	identification_t *capitals;
	step_t this = {};
	int status;
	pid_t pid;

	pid = fork();
	if (pid)
	{
		waitpid(pid, &status, 0);
		return WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	options.table_size = table_size;
	create_manager(side, &options);
	step(0, &this, establish_first);
	capitals = identification_create_from_string("ALICE@EXAMPLE.ORG");
	_exit(manager->has_contact(manager, environment->my_ids[0], capitals, 0) ? 1 : 0);
}

static int test_identity_in_capitals(const side_t *side)
{
	/* the hash is keyed anew in each process; one in 2^20 collides */
	bool small = find_capitals(side, 1), large = find_capitals(side, 1 << 20);

	return small && !large ? 0 : small == large ? 1 : -1;
}

static int test_walk_waits(const side_t *side)
{
	options_t options = default_options();
	step_t wanted = {}, in_the_way = {}, walker = {};

	create_manager(side, &options);
	step(0, &wanted, create_and_checkin);
	step(0, &in_the_way, create);
	walker.unique_id = wanted.unique_id;
	if (!step(1, &walker, checkout_by_id))
	{
		return 0;
	}
	return walker.got == wanted.ike_sa ? 1 : -1;
}

static enumerator_t *enumerator;

static void stand(step_t *this)
{
	enumerator = manager->create_enumerator(manager, TRUE);
	this->yes = enumerator->enumerate(enumerator, &this->got);
}

static int test_standing_blocks_others(const side_t *side)
{
	options_t options = default_options();
	step_t sas[2] = {}, stander = {}, other = {};

	create_manager(side, &options);
	step(0, &sas[0], create_and_checkin);
	step(0, &sas[1], create_and_checkin);
	step(0, &stander, stand);
	other.ike_sa = stander.got == sas[0].ike_sa ? sas[1].ike_sa : sas[0].ike_sa;
	if (!step(1, &other, checkout))
	{
		return 0;
	}
	return other.got == other.ike_sa ? 1 : -1;
}

static void enumerate_all(step_t *this)
{
	uint32_t last = 0;
	bool newest_first = TRUE;

	enumerator = manager->create_enumerator(manager, TRUE);
	while (enumerator->enumerate(enumerator, &this->got))
	{
		uint32_t unique_id = this->got->get_unique_id(this->got);

		newest_first = newest_first && (!this->count || unique_id < last);
		last = unique_id;
		this->count++;
	}
	enumerator->destroy(enumerator);
	this->yes = newest_first;
}

static int test_order(const side_t *side)
{
	options_t options = default_options();
	step_t sas[4] = {}, walker = {};
	int i;

	create_manager(side, &options);
	for (i = 0; i < 4; i++)
	{
		step(0, &sas[i], create_and_checkin);
	}
	step(0, &walker, enumerate_all);
	return walker.count != 4 ? -1 : walker.yes ? 0 : 1;
}

static int test_one_of_several(const side_t *side)
{
	options_t options = default_options();
	step_t sas[3] = {}, wanted = {};
	int i;

	create_manager(side, &options);
	for (i = 0; i < 3; i++)
	{
		step(0, &sas[i], create_and_checkin);
	}
	step(0, &wanted, checkout_by_config);
	if (wanted.got == sas[2].ike_sa)
	{
		return 0;
	}
	return wanted.got == sas[0].ike_sa || wanted.got == sas[1].ike_sa ? 1 : -1;
}

static void queue_delete(step_t *this)
{
	ike_sa_t *ike_sa;

	establish_first(this);
	ike_sa = this->ike_sa;
	ike_sa = manager->checkout(manager, ike_sa->get_id(ike_sa));
	ike_sa->queue_task(ike_sa, (task_t*)ike_delete_create(ike_sa, TRUE));
	manager->checkin(manager, ike_sa);
}

static int test_config_delete_queued(const side_t *side)
{
	options_t options = default_options();
	step_t dying = {}, wanted = {};

	create_manager(side, &options);
	step(0, &dying, queue_delete);
	step(0, &wanted, checkout_by_config);
	return wanted.got == dying.ike_sa ? 0 : wanted.got ? 1 : -1;
}

static void redirect(step_t *this)
{
	create(this);
	this->ike_sa->set_condition(this->ike_sa, COND_REDIRECTED, TRUE);
	checkin(this);
}

static int test_config_redirected(const side_t *side)
{
	options_t options = default_options();
	step_t redirected = {}, wanted = {};

	create_manager(side, &options);
	step(0, &redirected, redirect);
	step(0, &wanted, checkout_by_config);
	return wanted.got == redirected.ike_sa ? 0 : wanted.got ? 1 : -1;
}

static void change_spi(step_t *this)
{
	this->ike_sa->set_state(this->ike_sa, IKE_CONNECTING);
	charon->bus->set_sa(charon->bus, this->ike_sa);
	this->yes = manager->new_initiator_spi(manager, this->ike_sa);
}

/** IDs that children_migrate events named. */
static int migrated;

METHOD(listener_t, children_migrate, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa __attribute__((unused)), ike_sa_id_t *new,
	uint32_t unique __attribute__((unused)))
{
	migrated += new != NULL;
	return TRUE;
}

static void create_with_child(step_t *this)
{
	child_sa_create_t create = {};
	ike_sa_t *ike_sa;

	ike_sa = this->ike_sa = manager->create_new(manager, IKEV1, TRUE);
	dress(ike_sa);
	ike_sa->set_peer_cfg(ike_sa, cfgs[4]);
	ike_sa->add_child_sa(ike_sa, child_sa_create(ike_sa->get_my_host(ike_sa), ike_sa->get_other_host(ike_sa),
												 environment->children[0], &create));
	manager->checkout_new(manager, ike_sa);
}

static int test_new_spi_migrates_children(const side_t *side)
{
	listener_t listener = {
		.children_migrate = _children_migrate,
	};
	options_t options = default_options();
	step_t this = {};

	create_manager(side, &options);
	charon->bus->add_listener(charon->bus, &listener);
	step(0, &this, create_with_child);
	step(0, &this, change_spi);
	return !this.yes ? -1 : migrated ? 1 : 0;
}

static int test_twins(const side_t *side)
{
	options_t options = default_options();
	step_t sas[2] = {}, out = {};

	create_manager(side, &options);
	step(0, &sas[0], establish_first);
	step(0, &sas[1], establish_first);
	out.unique_id = sas[1].unique_id;
	step(0, &out, checkout_by_id);
	if (out.got != sas[1].ike_sa)
	{
		return -1;
	}
	out.ike_sa = out.got;
	step(0, &out, checkin_and_destroy);
	return manager->has_contact(manager, environment->my_ids[0], environment->other_ids[0], 0) ? 1 : 0;
}

const allowed_t allowed[] = {
	{
		.what = "half-open count after an IKE_SA_INIT request with a responder SPI or a message ID",
		.reason = "5.9.8 never lowers it again, so anybody can make the gateway ask everybody for cookies; fixed later",
		.behaviours = { "stays (as 5.9.8)", "is lowered (as 6.1.0)" },
		.test = test_half_open_leak,
	}, {
		.what = "an initial message for which no SPI can be had",
		.reason = "5.9.8 returns with a mutex locked and the next initial message hangs; fixed later",
		.behaviours = { "hangs other threads (as 5.9.8)", "is just dropped (as 6.1.0)" },
		.test = test_mutex_left_locked,
	}, {
		.what = "an SA that is checked in for the first time while flush() waits",
		.reason = "5.9.8 loses it and flush() never ends; fixed later",
		.behaviours = { "hangs flush() (as 5.9.8)", "is destroyed, too (as 6.1.0)" },
		.test = test_register_while_flushing,
	}, {
		.what = "checkout() by an ID whose local SPI is missing (a responder's)",
		.reason = "charon finds it or not, depending on the size of its table: no caller can rely on either",
		.behaviours = { "depends on ikesa_table_size", "does not depend on it" },
		.test = test_responder_without_spi,
	}, {
		.what = "has_contact() with an identity that differs only in case",
		.reason = "equal for charon, but hashed differently: again it depends on the size of the table",
		.behaviours = { "depends on ikesa_table_size", "does not depend on it" },
		.test = test_identity_in_capitals,
	}, {
		.what = "walking past an SA that another thread has, on the way to the one wanted",
		.reason = "charon waits for it; no operation on one SA should have to wait for another",
		.behaviours = { "waits", "does not wait" },
		.test = test_walk_waits,
	}, {
		.what = "checkout() of one SA while an enumerator stands on another",
		.reason = "charon locks out the whole segment; see above",
		.behaviours = { "waits", "does not wait" },
		.test = test_standing_blocks_others,
	}, {
		.what = "order in which SAs are enumerated",
		.reason = "not part of the contract; with more than one row in charon's table it is random",
		.behaviours = { "newest first, in a table of one row", "another" },
		.test = test_order,
	}, {
		.what = "which SA checkout_by_config() and checkout_by_name() return if several fit",
		.reason = "the same",
		.behaviours = { "the newest, in a table of one row", "another" },
		.test = test_one_of_several,
	}, {
		.what = "checkout_by_config() with an SA that has a delete queued",
		.reason = "what is set up in it is gone at once; later versions take a new one",
		.behaviours = { "is taken (as 5.9.8)", "is not taken (as 6.1.0)" },
		.test = test_config_delete_queued,
	}, {
		.what = "checkout_by_config() with an SA that is being redirected",
		.reason = "the same",
		.behaviours = { "is taken (as 5.9.8)", "is not taken (as 6.1.0)" },
		.test = test_config_redirected,
	}, {
		.what = "children of an IKEv1 SA at new_initiator_spi()",
		.reason = "later versions tell listeners and the CHILD_SA manager about the new ID",
		.behaviours = { "are left alone (as 5.9.8)", "are migrated (as 6.1.0)" },
		.test = test_new_spi_migrates_children,
	}, {
		.what = "contact between two peers with two SAs that have the same SPIs, when one of these goes",
		.reason = "charon counts them as one; two SAs with both SPIs equal do not happen",
		.behaviours = { "is lost", "stays" },
		.test = test_twins,
	},
};

const int allowed_count = countof(allowed);

const allowed_t *const allowed_half_open = &allowed[0];

/* described in header */
int allowed_test(const allowed_t *this, const side_t *side)
{
	int status, result;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
	{
		perror("differential: fork");
		return -1;
	}
	if (!pid)
	{
		alarm(TEST_DEADLINE);
		result = this->test(side);
		if (side->delegated_calls && side->delegated_calls())
		{
			printf("  %s manager left a call to charon's own\n", side->name);
			fflush(stdout);
			result = -1;
		}
		_exit(result & 0xff);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) >= ALLOWED_BEHAVIOURS)
	{
		return -1;
	}
	return WEXITSTATUS(status);
}
