/* SPDX-License-Identifier: GPL-2.0-or-later */

#define _GNU_SOURCE
#include "ivo_abi_guard.h"
#include "ivo_log.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <daemon.h>

#ifdef ME
#define BUILT_ME "with mediation"
#else
#define BUILT_ME "without mediation"
#endif

#define BUILT_FOR "strongSwan " VERSION " " BUILT_ME

/**
 * Seconds after which a probe that hangs is taken for a failed one
 */
#define PROBE_TIMEOUT 5

/**
 * What a child says whose probe found everything in place
 */
#define PROBE_PASSED "passed"

/**
 * What a child says that was not done in time
 */
#define PROBE_LATE "late"

/**
 * Where the child says it
 */
static int child_fd;

/**
 * A probe uses objects of the running libraries.
 *
 * @param step			set to what is being looked at, before it is looked at
 * @return				TRUE if all is where the headers say
 */
typedef bool (*probe_t)(const char **step);

/**
 * Check if the running process has a function
 */
static bool exports(const char *symbol)
{
	return dlsym(RTLD_DEFAULT, symbol) != NULL;
}

/**
 * Find a difference that the exported functions alone tell
 */
static const char *compare_exports()
{
#ifdef ME
	if (!exports("ike_me_create"))
	{
		return "the running libcharon is built without mediation";
	}
#else
	if (exports("ike_me_create"))
	{
		return "the running libcharon is built with mediation";
	}
#endif
	return NULL;
}

/**
 * Probe the objects that every plugin uses: library, settings, configurations,
 * daemon and bus
 */
static bool probe_library(const char **step)
{
	peer_cfg_t *peer_cfg;
	peer_cfg_create_t peer = {
		.cert_policy = CERT_ALWAYS_SEND,
		.unique = UNIQUE_KEEP,
		.keyingtries = 1001,
		.rekey_time = 1002,
		.over_time = 1004,
		.dpd = 1005,
		.dpd_timeout = 1006,
		.if_id_in = 1007,
		.if_id_out = 1008,
	};
	ike_cfg_create_t ike = {
		.version = IKEV2,
		.local = "127.0.0.1",
		.local_port = 1501,
		.remote = "127.0.0.2",
		.remote_port = 1502,
	};
	ike_cfg_t *ike_cfg;
	ike_sa_id_t *id;

	*step = "library_t";
	if (!lib->ns || !lib->settings || !lib->processor || !lib->scheduler ||
		!lib->plugins || !lib->streams || !lib->watcher)
	{
		return FALSE;
	}
	*step = "settings_t";
	lib->settings->set_int(lib->settings, "%s.ivo.probe", 4711, lib->ns);
	if (lib->settings->get_int(lib->settings, "%s.ivo.probe", 0,
							   lib->ns) != 4711)
	{
		return FALSE;
	}
	*step = "processor_t";
	if (lib->processor->get_total_threads(lib->processor) > 1024 ||
		lib->processor->get_job_load(lib->processor, JOB_PRIO_LOW) > 1000000)
	{
		return FALSE;
	}
	*step = "scheduler_t";
	if (lib->scheduler->get_job_load(lib->scheduler) > 1000000)
	{
		return FALSE;
	}

	*step = "ike_cfg_t";
	ike_cfg = ike_cfg_create(&ike);
	if (ike_cfg->get_version(ike_cfg) != IKEV2 ||
		ike_cfg->get_my_port(ike_cfg) != 1501 ||
		ike_cfg->get_other_port(ike_cfg) != 1502)
	{
		return FALSE;
	}
	*step = "peer_cfg_t";
	peer_cfg = peer_cfg_create("ivo-probe", ike_cfg, &peer);
	if (!streq(peer_cfg->get_name(peer_cfg), "ivo-probe") ||
		peer_cfg->get_unique_policy(peer_cfg) != UNIQUE_KEEP ||
		peer_cfg->get_keyingtries(peer_cfg) != 1001 ||
		peer_cfg->get_rekey_time(peer_cfg, FALSE) != 1002 ||
		peer_cfg->get_over_time(peer_cfg) != 1004 ||
		peer_cfg->get_dpd(peer_cfg) != 1005 ||
		peer_cfg->get_if_id(peer_cfg, TRUE) != 1007 ||
		peer_cfg->get_if_id(peer_cfg, FALSE) != 1008 ||
		!peer_cfg->equals(peer_cfg, peer_cfg))
	{
		return FALSE;
	}
	peer_cfg->destroy(peer_cfg);

	*step = "ike_sa_id_t";
	id = ike_sa_id_create(IKEV2_MAJOR_VERSION, 0x0102030405060708,
						  0x1112131415161718, TRUE);
	id->set_responder_spi(id, 0x2122232425262728);
	if (id->get_initiator_spi(id) != 0x0102030405060708 ||
		id->get_responder_spi(id) != 0x2122232425262728 ||
		!id->is_initiator(id))
	{
		return FALSE;
	}
	id->destroy(id);

	*step = "daemon_t";
	if (!charon || !charon->bus || !charon->backends || !charon->attributes ||
		!charon->controller || !charon->eap || !charon->initialize ||
		!charon->start || !charon->load_loggers)
	{
		return FALSE;
	}
	*step = "bus_t";
	charon->bus->set_sa(charon->bus, NULL);
	return charon->bus->get_sa(charon->bus) == NULL;
}

/**
 * What the listener of probe_manager() saw
 */
typedef struct {
	/** public interface */
	listener_t listener;
	/** state of the last ike_state_change() */
	ike_sa_state_t state;
	/** number of events */
	int events;
} probe_listener_t;

/**
 * Listener hook of probe_manager()
 */
static bool see_state(listener_t *listener, ike_sa_t *ike_sa,
					  ike_sa_state_t state)
{
	probe_listener_t *this = (probe_listener_t*)listener;

	this->state = state;
	this->events++;
	return TRUE;
}

/**
 * Probe an IKE_SA's methods, on both sides of those that depend on ME
 */
static bool probe_ike_sa(ike_sa_t *ike_sa)
{
	enumerator_t *enumerator;
	host_t *vip, *found = NULL;

	ike_sa->set_message_id(ike_sa, TRUE, 77);
	ike_sa->set_statistic(ike_sa, STAT_INBOUND, 123);
	ike_sa->set_condition(ike_sa, COND_STALE, TRUE);
	if (ike_sa->get_version(ike_sa) != IKEV2 ||
		!ike_sa->get_id(ike_sa)->is_initiator(ike_sa->get_id(ike_sa)) ||
		ike_sa->get_message_id(ike_sa, TRUE) != 77 ||
		ike_sa->get_statistic(ike_sa, STAT_INBOUND) != 123 ||
		!ike_sa->has_condition(ike_sa, COND_STALE) ||
		ike_sa->get_child_count(ike_sa) != 0 ||
		ike_sa->get_if_id(ike_sa, TRUE) != 0)
	{
		return FALSE;
	}
	vip = host_create_from_string("192.0.2.99", 0);
	ike_sa->add_virtual_ip(ike_sa, FALSE, vip);
	enumerator = ike_sa->create_virtual_ip_enumerator(ike_sa, FALSE);
	if (!enumerator->enumerate(enumerator, &found) ||
		!found->ip_equals(found, vip))
	{
		return FALSE;
	}
	enumerator->destroy(enumerator);
	vip->destroy(vip);
	enumerator = ike_sa->create_task_enumerator(ike_sa, TASK_QUEUE_QUEUED);
	enumerator->destroy(enumerator);
	return TRUE;
}

/**
 * bus_t.log that says nothing
 */
static void log_nothing(bus_t *bus, debug_t group, level_t level, char *fmt, ...)
{
}

/**
 * bus_t.vlog that says nothing
 */
static void vlog_nothing(bus_t *bus, debug_t group, level_t level, char *fmt,
						 va_list args)
{
}

/**
 * Probe the manager, an IKE_SA, the events it raises and a message. Listeners of
 * other plugins hear of the IKE_SA too, but in this process only.
 */
static bool probe_manager(const char **step)
{
	ike_sa_manager_t *manager = charon->ike_sa_manager;
	probe_listener_t listener = {
		.listener = {
			.ike_state_change = see_state,
		},
	};
	enumerator_t *enumerator;
	ike_sa_t *ike_sa, *found;
	message_t *message;
	uint32_t unique_id;
	int walked = 0;

	/* libcharon logs through the bus itself: nobody shall wonder about the
	 * probe's IKE_SA */
	charon->bus->log = log_nothing;
	charon->bus->vlog = vlog_nothing;

	*step = "ike_sa_manager_t";
	if (manager->get_count(manager) != 0 ||
		manager->get_half_open_count(manager, NULL, FALSE) != 0)
	{
		return FALSE;
	}
	ike_sa = manager->create_new(manager, IKEV2, TRUE);
	if (!ike_sa)
	{
		return FALSE;
	}

	*step = "ike_sa_t";
	if (!probe_ike_sa(ike_sa))
	{
		return FALSE;
	}
	unique_id = ike_sa->get_unique_id(ike_sa);

	*step = "listener_t";
	charon->bus->add_listener(charon->bus, &listener.listener);
	ike_sa->set_state(ike_sa, IKE_CONNECTING);
	charon->bus->remove_listener(charon->bus, &listener.listener);
	if (listener.events != 1 || listener.state != IKE_CONNECTING)
	{
		return FALSE;
	}

	*step = "child_sa_manager_t";
	if (charon->child_sa_manager->checkout_by_id(charon->child_sa_manager,
												 1, NULL) != NULL)
	{
		return FALSE;
	}

	*step = "message_t";
	message = message_create(IKEV2_MAJOR_VERSION, IKEV2_MINOR_VERSION);
	message->set_exchange_type(message, CREATE_CHILD_SA);
	message->set_message_id(message, 0x31323334);
	if (message->get_exchange_type(message) != CREATE_CHILD_SA ||
		message->get_message_id(message) != 0x31323334)
	{
		return FALSE;
	}
	message->destroy(message);

	*step = "ike_sa_manager_t";
	manager->checkout_new(manager, ike_sa);
	manager->checkin(manager, ike_sa);
	enumerator = manager->create_enumerator(manager, FALSE);
	while (enumerator->enumerate(enumerator, &found))
	{
		walked++;
	}
	enumerator->destroy(enumerator);
	if (walked != 1 || manager->get_count(manager) != 1 ||
		manager->get_half_open_count(manager, NULL, TRUE) != 0 ||
		manager->checkout_by_id(manager, unique_id) != ike_sa)
	{
		return FALSE;
	}
	manager->checkin_and_destroy(manager, ike_sa);
	return manager->get_count(manager) == 0;
}

/**
 * The child's alarm
 */
static void say_late(int signal)
{
	_exit(write(child_fd, PROBE_LATE, strlen(PROBE_LATE)) < 0);
}

/**
 * The child's side: whatever goes wrong ends this process only, and quietly
 */
static void run_child(probe_t probe, int fd)
{
	static const int fatal[] = {
		SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM,
	};
	struct rlimit no_core = {};
	const char *step = "plugin_t";
	sigset_t none;
	size_t i;

	/* charon's handlers would write a backtrace to the log */
	for (i = 0; i < countof(fatal); i++)
	{
		signal(fatal[i], SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	child_fd = fd;
	signal(SIGALRM, say_late);
	alarm(PROBE_TIMEOUT);
	/* libstrongswan's log */
	dbg = dbg_default;
	dbg_default_set_level(LEVEL_SILENT);

	if (probe(&step))
	{
		step = PROBE_PASSED;
	}
	_exit(write(fd, step, strlen(step)) < 0);
}

/**
 * Run a probe in a child process
 *
 * @param reason		receives the difference found
 */
static bool run_probe(probe_t probe, char *reason, size_t size)
{
	char step[64] = "";
	int fds[2];
	ssize_t len;
	pid_t pid;

	if (pipe(fds) != 0)
	{
		snprintf(reason, size, "the running one cannot be probed (%s)",
				 strerror(errno));
		return FALSE;
	}
	pid = fork();
	if (pid == 0)
	{
		close(fds[0]);
		run_child(probe, fds[1]);
	}
	close(fds[1]);
	if (pid < 0)
	{
		close(fds[0]);
		snprintf(reason, size, "the running one cannot be probed (%s)",
				 strerror(errno));
		return FALSE;
	}
	do
	{
		len = read(fds[0], step, sizeof(step) - 1);
	}
	while (len < 0 && errno == EINTR);
	close(fds[0]);
	/* its exit status is not asked for: there is none if the daemon was started
	 * with SIGCHLD ignored */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
	{
		/* try again */
	}
	if (streq(step, PROBE_PASSED))
	{
		return TRUE;
	}
	if (streq(step, PROBE_LATE))
	{
		snprintf(reason, size, "the running one could not be probed within %d "
				 "seconds", PROBE_TIMEOUT);
	}
	else if (len > 0)
	{
		snprintf(reason, size, "the running one has another %s", step);
	}
	else
	{
		snprintf(reason, size, "the running one has objects of another layout");
	}
	return FALSE;
}

/*
 * Described in header.
 */
bool ivo_abi_guard(const char *plugin)
{
	const char *difference;
	char reason[128];

	difference = compare_exports();
	if (!difference && !run_probe(probe_library, reason, sizeof(reason)))
	{
		difference = reason;
	}
	if (difference)
	{
		ivo_log(plugin, IVO_MSG_ABI_MISMATCH, BUILT_FOR, difference);
		return FALSE;
	}
	return TRUE;
}

/*
 * Described in header.
 */
bool ivo_abi_guard_sas(const char *plugin)
{
	char reason[128];

	if (!run_probe(probe_manager, reason, sizeof(reason)))
	{
		ivo_log(plugin, IVO_MSG_ABI_MISMATCH, BUILT_FOR, reason);
		return FALSE;
	}
	return TRUE;
}
