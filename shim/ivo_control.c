/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control socket. A connection never holds a thread of charon's: reading
 * and writing is done by the watcher without blocking, only a command itself
 * runs on a worker. Clients that are slow or say nothing are cut off by a
 * timeout, and there are never more than MAX_CONNECTIONS.
 */

#include "ivo_control.h"
#include "ivo_log.h"

#include <errno.h>

#include <library.h>
#include <collections/linked_list.h>
#include <processing/jobs/callback_job.h>
#include <threading/condvar.h>
#include <threading/mutex.h>

/**
 * Name of the registry in lib->get()
 */
#define REGISTRY "ivo-control"

/**
 * Connections at a time; further ones are closed at once
 */
#define MAX_CONNECTIONS 16

/**
 * Seconds that a client may take to send its request, and again to take the
 * answer
 */
#define CLIENT_TIMEOUT 10

/**
 * Bytes of the largest answer
 */
#define MAX_ANSWER (4 * 1024 * 1024)

typedef struct private_ivo_control_t private_ivo_control_t;
typedef struct connection_t connection_t;
typedef struct command_t command_t;
typedef struct answer_t answer_t;

/**
 * A handler of a command
 */
struct command_t {
	/** the command's word */
	const char *command;
	/** handler */
	ivo_command_handler_t handler;
	/** context of the handler */
	void *context;
};

/**
 * The answer to a request while it grows
 */
struct answer_t {
	/** public interface */
	ivo_reply_t public;
	/** text so far */
	chunk_t text;
	/** bytes allocated for it */
	size_t allocated;
	/** whether it is an error */
	bool failed;
	/** the first error, cut, without control characters: it goes into a line */
	char error[160];
};

/**
 * What a connection waits for
 */
typedef enum {
	/** the client's request */
	CONNECTION_READING,
	/** a worker to answer it */
	CONNECTION_ANSWERING,
	/** the client to take the answer */
	CONNECTION_WRITING,
	/** a worker to close it */
	CONNECTION_CLOSING,
} connection_state_t;

/**
 * A client's connection. Everything but the stream's read() and write() is
 * protected by the service's mutex.
 */
struct connection_t {
	/** number of the connection, to find it from a job */
	u_int id;
	/** the stream */
	stream_t *stream;
	/** what it waits for */
	connection_state_t state;
	/** request as received so far; terminated when it is complete */
	char request[IVO_CONTROL_MAX_REQUEST];
	/** bytes in it */
	size_t received;
	/** what is wrong with the request, if it cannot be read */
	const char *malformed;
	/** answer to send */
	chunk_t answer;
	/** bytes of it that are sent */
	size_t sent;
};

/**
 * Private data of the service
 */
struct private_ivo_control_t {

	/**
	 * Public interface
	 */
	ivo_control_t public;

	/**
	 * Plugins that hold it; only the main thread loads and unloads plugins
	 */
	u_int plugins;

	/**
	 * Accepts connections, NULL if the socket could not be opened
	 */
	stream_service_t *service;

	/**
	 * Protects all that follows
	 */
	mutex_t *mutex;

	/**
	 * Signalled when no request is being answered any more
	 */
	condvar_t *idle;

	/**
	 * A worker answers a request, or is about to: one at a time, so that
	 * requests never take all workers and handlers need no lock
	 */
	bool answering;

	/**
	 * That worker runs handlers now; a job still queued may never run
	 */
	bool running;

	/**
	 * Threads that wait to change the list of commands; no request is taken up
	 */
	u_int changing;

	/**
	 * Handlers, as command_t
	 */
	linked_list_t *commands;

	/**
	 * Connections, as connection_t
	 */
	linked_list_t *connections;

	/**
	 * Number of the latest connection
	 */
	u_int last_id;
};

/**
 * Data of a job about one connection; the connection may be gone by then
 */
typedef struct {
	/** the service */
	private_ivo_control_t *this;
	/** number of the connection */
	u_int id;
	/** state that the job is about */
	connection_state_t state;
} connection_job_t;

static job_requeue_t answer_job(connection_job_t *data);
static job_requeue_t close_job(connection_job_t *data);
static job_requeue_t timeout_job(connection_job_t *data);

/**
 * Create a job about a connection
 */
static job_t *create_job(private_ivo_control_t *this, connection_t *connection,
						 job_requeue_t (*run)(connection_job_t *data))
{
	connection_job_t *data;

	INIT(data,
		.this = this,
		.id = connection->id,
		.state = connection->state,
	);
	/* critical: an operator wants an answer above all when charon's workers are
	 * busy. Not cancelable: remove_commands() counts on its end. */
	return (job_t*)callback_job_create_with_prio((callback_job_cb_t)run, data,
												 free, NULL, JOB_PRIO_CRITICAL);
}

/**
 * Find the connection of a job if it is in the given state, mutex held
 */
static connection_t *find_connection(connection_job_t *data,
									 connection_state_t state)
{
	enumerator_t *enumerator;
	connection_t *connection, *found = NULL;

	enumerator = data->this->connections->create_enumerator(
												data->this->connections);
	while (enumerator->enumerate(enumerator, &connection))
	{
		if (connection->id == data->id && connection->state == state)
		{
			found = connection;
			break;
		}
	}
	enumerator->destroy(enumerator);
	return found;
}

/**
 * Destroy a connection that is not listed any more. Waits for the watcher's
 * callback on it, so the mutex must not be held.
 */
static void destroy_connection(connection_t *connection)
{
	connection->stream->destroy(connection->stream);
	chunk_free(&connection->answer);
	free(connection);
}

/**
 * Let a worker close the connection, mutex held
 */
static void close_later(private_ivo_control_t *this, connection_t *connection)
{
	connection->state = CONNECTION_CLOSING;
	lib->processor->queue_job(lib->processor,
							  create_job(this, connection, close_job));
}

/**
 * Limit the time that the connection may stay in its state, mutex held
 */
static void limit_time(private_ivo_control_t *this, connection_t *connection)
{
	lib->scheduler->schedule_job(lib->scheduler,
					create_job(this, connection, timeout_job), CLIENT_TIMEOUT);
}

/**
 * Send what the client takes now, mutex held
 *
 * @return				TRUE if there is more to send
 */
static bool send_some(connection_t *connection)
{
	ssize_t len;

	while (connection->sent < connection->answer.len)
	{
		len = connection->stream->write(connection->stream,
								connection->answer.ptr + connection->sent,
								connection->answer.len - connection->sent, FALSE);
		if (len <= 0)
		{
			if (len < 0 && errno == EINTR)
			{
				continue;
			}
			return len < 0 && (errno == EWOULDBLOCK || errno == EAGAIN);
		}
		connection->sent += (size_t)len;
	}
	return FALSE;
}

/**
 * Watcher callback: the client takes more of the answer
 */
static bool on_writable(private_ivo_control_t *this, stream_t *stream)
{
	enumerator_t *enumerator;
	connection_t *connection;
	bool more = FALSE;

	this->mutex->lock(this->mutex);
	enumerator = this->connections->create_enumerator(this->connections);
	while (enumerator->enumerate(enumerator, &connection))
	{
		if (connection->stream == stream &&
			connection->state == CONNECTION_WRITING)
		{
			more = send_some(connection);
			if (!more)
			{
				close_later(this, connection);
			}
			break;
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return more;
}

/**
 * Let a worker answer the oldest request if none does, mutex held
 */
static void answer_next(private_ivo_control_t *this)
{
	enumerator_t *enumerator;
	connection_t *connection;

	if (this->answering || this->changing)
	{
		return;
	}
	enumerator = this->connections->create_enumerator(this->connections);
	while (enumerator->enumerate(enumerator, &connection))
	{
		if (connection->state == CONNECTION_ANSWERING)
		{
			this->answering = TRUE;
			lib->processor->queue_job(lib->processor,
								create_job(this, connection, answer_job));
			break;
		}
	}
	enumerator->destroy(enumerator);
}

/**
 * Read what has come of a request, mutex held
 *
 * @return				TRUE if more has to come
 */
static bool receive_some(private_ivo_control_t *this, connection_t *connection)
{
	char *end;
	ssize_t len;

	len = connection->stream->read(connection->stream,
						connection->request + connection->received,
						IVO_CONTROL_MAX_REQUEST - connection->received, FALSE);
	if (len < 0 && (errno == EWOULDBLOCK || errno == EAGAIN || errno == EINTR))
	{
		return TRUE;
	}
	if (len <= 0)
	{
		close_later(this, connection);
		return FALSE;
	}
	end = memchr(connection->request + connection->received, '\n',
				 (size_t)len);
	connection->received += (size_t)len;
	if (!end && connection->received < IVO_CONTROL_MAX_REQUEST)
	{
		return TRUE;
	}
	if (!end)
	{
		connection->malformed = "the request is longer than 1024 bytes";
	}
	else if (memchr(connection->request, '\0',
					(size_t)(end - connection->request)))
	{
		connection->malformed = "the request contains a zero byte";
	}
	else
	{
		*end = '\0';
	}
	connection->state = CONNECTION_ANSWERING;
	answer_next(this);
	return FALSE;
}

/**
 * Watcher callback: the client sent something
 */
static bool on_readable(private_ivo_control_t *this, stream_t *stream)
{
	enumerator_t *enumerator;
	connection_t *connection;
	bool more = FALSE;

	this->mutex->lock(this->mutex);
	enumerator = this->connections->create_enumerator(this->connections);
	while (enumerator->enumerate(enumerator, &connection))
	{
		if (connection->stream == stream &&
			connection->state == CONNECTION_READING)
		{
			more = receive_some(this, connection);
			break;
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
	return more;
}

/**
 * ivo_reply_t.add_line
 */
static bool add_line(ivo_reply_t *reply, const char *text, size_t length)
{
	answer_t *this = (answer_t*)reply;
	size_t needed = this->text.len + length + 1, size;
	u_char *grown;

	if (this->failed)
	{
		return FALSE;
	}
	if (needed > MAX_ANSWER)
	{
		reply->fail(reply, "the answer is too long");
		return FALSE;
	}
	if (needed > this->allocated)
	{
		size = max(needed, 2 * this->allocated);
		grown = realloc(this->text.ptr, size);
		if (!grown)
		{
			reply->fail(reply, "out of memory");
			return FALSE;
		}
		this->text.ptr = grown;
		this->allocated = size;
	}
	memcpy(this->text.ptr + this->text.len, text, length);
	this->text.ptr[needed - 1] = '\n';
	this->text.len = needed;
	return TRUE;
}

/**
 * ivo_reply_t.fail
 */
static void fail(ivo_reply_t *reply, const char *text)
{
	answer_t *this = (answer_t*)reply;

	size_t i;

	if (!this->failed)
	{
		this->failed = TRUE;
		snprintf(this->error, sizeof(this->error), "%s", text);
		for (i = 0; this->error[i]; i++)
		{
			if ((u_char)this->error[i] < ' ' || (u_char)this->error[i] > '~')
			{
				this->error[i] = '?';
			}
		}
	}
}

/**
 * Split a request into words, in place
 *
 * @return				number of words, 0 if there is none or too many
 */
static size_t split(char *request, const char *words[IVO_CONTROL_MAX_WORDS])
{
	size_t count = 0;
	char *word, *state = NULL;

	for (word = strtok_r(request, " ", &state); word;
		 word = strtok_r(NULL, " ", &state))
	{
		if (count == IVO_CONTROL_MAX_WORDS)
		{
			return 0;
		}
		words[count++] = word;
	}
	return count;
}

/**
 * Run the handlers of a command
 */
static void run_command(private_ivo_control_t *this, size_t count,
						const char *const words[], answer_t *answer)
{
	enumerator_t *enumerator;
	command_t *command;
	char buf[128];
	int handlers = 0;

	/* not under the mutex, but remove_commands() waits while we are counted,
	 * and add_command() appends only, while plugins are being loaded */
	enumerator = this->commands->create_enumerator(this->commands);
	while (enumerator->enumerate(enumerator, &command))
	{
		if (streq(command->command, words[0]))
		{
			command->handler(command->context, count, words, &answer->public);
			handlers++;
		}
	}
	enumerator->destroy(enumerator);
	if (!handlers)
	{
		snprintf(buf, sizeof(buf), "unknown command '%.64s'", words[0]);
		fail(&answer->public, buf);
	}
}

/**
 * Answer a request
 *
 * @return				answer, allocated
 */
static chunk_t answer_request(private_ivo_control_t *this,
							  connection_t *connection)
{
	const char *words[IVO_CONTROL_MAX_WORDS];
	char status[192];
	size_t count;
	answer_t answer = {
		.public = {
			.add_line = add_line,
			.fail = fail,
		},
	};
	chunk_t all;

	if (connection->malformed)
	{
		fail(&answer.public, connection->malformed);
	}
	else
	{
		count = split(connection->request, words);
		if (count)
		{
			run_command(this, count, words, &answer);
		}
		else
		{
			fail(&answer.public, "the request has no word or more than 16");
		}
	}
	if (answer.failed)
	{
		snprintf(status, sizeof(status), "error: %s\n", answer.error);
	}
	else
	{
		snprintf(status, sizeof(status), "ok\n");
	}
	all = chunk_cat("mc", answer.text, chunk_from_str(status));
	return all;
}

/**
 * Job: answer the request of a connection
 */
static job_requeue_t answer_job(connection_job_t *data)
{
	private_ivo_control_t *this = data->this;
	connection_t *connection;
	chunk_t answer;

	/* in the state ANSWERING nobody but this job touches the connection */
	this->mutex->lock(this->mutex);
	connection = find_connection(data, CONNECTION_ANSWERING);
	if (!connection || this->changing)
	{
		this->answering = FALSE;
		answer_next(this);
		this->mutex->unlock(this->mutex);
		return JOB_REQUEUE_NONE;
	}
	this->running = TRUE;
	this->mutex->unlock(this->mutex);

	answer = answer_request(this, connection);

	this->mutex->lock(this->mutex);
	this->answering = this->running = FALSE;
	this->idle->broadcast(this->idle);
	connection->answer = answer;
	connection->state = CONNECTION_WRITING;
	if (send_some(connection))
	{
		limit_time(this, connection);
		connection->stream->on_write(connection->stream,
									 (stream_cb_t)on_writable, this);
	}
	else
	{
		close_later(this, connection);
	}
	answer_next(this);
	this->mutex->unlock(this->mutex);
	return JOB_REQUEUE_NONE;
}

/**
 * Close the connection of a job if it is in the given state
 */
static void close_connection(connection_job_t *data, connection_state_t state)
{
	private_ivo_control_t *this = data->this;
	connection_t *connection;

	this->mutex->lock(this->mutex);
	connection = find_connection(data, state);
	if (connection)
	{
		this->connections->remove(this->connections, connection, NULL);
	}
	this->mutex->unlock(this->mutex);
	if (connection)
	{
		destroy_connection(connection);
	}
}

/**
 * Job: close a connection that is done
 */
static job_requeue_t close_job(connection_job_t *data)
{
	close_connection(data, CONNECTION_CLOSING);
	return JOB_REQUEUE_NONE;
}

/**
 * Job: close a connection whose client took too long
 */
static job_requeue_t timeout_job(connection_job_t *data)
{
	close_connection(data, data->state);
	return JOB_REQUEUE_NONE;
}

/**
 * Accept a connection
 */
static bool on_accept(private_ivo_control_t *this, stream_t *stream)
{
	connection_t *connection;

	this->mutex->lock(this->mutex);
	if (this->connections->get_count(this->connections) >= MAX_CONNECTIONS)
	{
		static const char busy[] = "error: too many connections\n";

		this->mutex->unlock(this->mutex);
		/* if the client does not take it, it sees the close alone */
		ignore_result(stream->write(stream, (void*)busy, sizeof(busy) - 1,
									FALSE));
		return FALSE;
	}
	INIT(connection,
		.id = ++this->last_id,
		.stream = stream,
		.state = CONNECTION_READING,
	);
	this->connections->insert_last(this->connections, connection);
	limit_time(this, connection);
	stream->on_read(stream, (stream_cb_t)on_readable, this);
	this->mutex->unlock(this->mutex);
	return TRUE;
}

/**
 * Wait for the request that is being answered, and take up no other; mutex held
 */
static void stop_answering(private_ivo_control_t *this)
{
	this->changing++;
	while (this->running)
	{
		this->idle->wait(this->idle, this->mutex);
	}
}

/**
 * Go on where stop_answering() stopped, mutex held
 */
static void go_on_answering(private_ivo_control_t *this)
{
	this->changing--;
	answer_next(this);
}

/**
 * ivo_control_t.add_command
 */
static bool add_command(ivo_control_t *public, const char *command,
						ivo_command_handler_t handler, void *context)
{
	private_ivo_control_t *this = (private_ivo_control_t*)public;
	command_t *entry;

	INIT(entry,
		.command = command,
		.handler = handler,
		.context = context,
	);
	this->mutex->lock(this->mutex);
	stop_answering(this);
	this->commands->insert_last(this->commands, entry);
	go_on_answering(this);
	this->mutex->unlock(this->mutex);
	return TRUE;
}

/**
 * ivo_control_t.remove_commands
 */
static void remove_commands(ivo_control_t *public, void *context)
{
	private_ivo_control_t *this = (private_ivo_control_t*)public;
	enumerator_t *enumerator;
	command_t *command;

	this->mutex->lock(this->mutex);
	stop_answering(this);
	enumerator = this->commands->create_enumerator(this->commands);
	while (enumerator->enumerate(enumerator, &command))
	{
		if (command->context == context)
		{
			this->commands->remove_at(this->commands, enumerator);
			free(command);
		}
	}
	enumerator->destroy(enumerator);
	go_on_answering(this);
	this->mutex->unlock(this->mutex);
}

/**
 * Close the socket and all connections
 */
static void destroy(private_ivo_control_t *this)
{
	connection_t *connection;

	DESTROY_IF(this->service);
	while (this->connections->remove_first(this->connections,
										   (void**)&connection) == SUCCESS)
	{
		destroy_connection(connection);
	}
	this->connections->destroy(this->connections);
	this->commands->destroy_function(this->commands, free);
	this->idle->destroy(this->idle);
	this->mutex->destroy(this->mutex);
	free(this);
}

/**
 * ivo_control_t.hold
 */
static void hold(ivo_control_t *public)
{
	private_ivo_control_t *this = (private_ivo_control_t*)public;

	this->plugins++;
}

/**
 * ivo_control_t.release
 */
static void release(ivo_control_t *public)
{
	private_ivo_control_t *this = (private_ivo_control_t*)public;

	if (!--this->plugins)
	{
		lib->set(lib, REGISTRY, NULL);
		destroy(this);
	}
}

/**
 * Host the registry and open the socket
 *
 * @return				registry, NULL if the name is taken meanwhile
 */
static ivo_control_t *create(const char *plugin)
{
	private_ivo_control_t *this;
	char *uri;

	INIT(this,
		.public = {
			.abi_version = IVO_ABI_VERSION,
			.hold = hold,
			.release = release,
			.add_command = add_command,
			.remove_commands = remove_commands,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.idle = condvar_create(CONDVAR_TYPE_DEFAULT),
		.commands = linked_list_create(),
		.connections = linked_list_create(),
	);
	if (!lib->set(lib, REGISTRY, &this->public))
	{
		destroy(this);
		return NULL;
	}
	uri = lib->settings->get_str(lib->settings, "%s.ivo.socket",
								 IVO_CONTROL_DEFAULT_URI, lib->ns);
	this->service = lib->streams->create_service(lib->streams, uri, 8);
	if (this->service)
	{
		this->service->on_accept(this->service, (stream_service_cb_t)on_accept,
								 this, JOB_PRIO_CRITICAL, MAX_CONNECTIONS);
	}
	else
	{
		ivo_log(plugin, IVO_MSG_CONTROL_FAILED, uri);
	}
	return &this->public;
}

/*
 * Described in header.
 */
ivo_control_t *ivo_control_join(const char *plugin)
{
	ivo_control_t *control;

	/* the host may be another plugin, built from other sources: only the public
	 * table is known to be the same */
	control = lib->get(lib, REGISTRY);
	if (!control)
	{
		control = create(plugin);
	}
	else if (control->abi_version != IVO_ABI_VERSION)
	{
		ivo_log(plugin, IVO_MSG_CONTROL_VERSION, control->abi_version,
				IVO_ABI_VERSION);
		control = NULL;
	}
	if (control)
	{
		control->hold(control);
	}
	return control;
}
