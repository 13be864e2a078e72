/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file control.h
 * The control socket that the plugins share, and the protocol spoken on it.
 *
 * Whichever plugin is loaded first hosts the socket and offers an ivo_control_t under lib->get("ivo-control"). The
 * others add their commands to it. Several plugins may add the same command; each then answers with lines of its own.
 *
 * Protocol, on a stream socket: the client sends one line, words separated by spaces, at most
 * IVO_CONTROL_MAX_REQUEST bytes with the line feed. The server sends any number of lines, each one JSON object, then
 * one status line, "ok" or "error: <text>", and closes. An answer without a status line was cut off.
 */
#ifndef IVO_CONTROL_H_
#define IVO_CONTROL_H_

#include <ivo/abi.h>

IVO_BEGIN_DECLS

/** Longest request in bytes, line feed included. */
#define IVO_CONTROL_MAX_REQUEST 1024

/** Most words of a request, the command included. */
#define IVO_CONTROL_MAX_WORDS 16

/** Where the socket is unless charon.ivo.socket says otherwise; Debian's AppArmor profile of charon lets it be there. */
#define IVO_CONTROL_DEFAULT_URI "unix:///run/charon.ivo"

typedef struct ivo_reply_t ivo_reply_t;
typedef struct ivo_control_t ivo_control_t;

/** Collects the answer to one request. Belongs to the server; valid during the handler's call. */
struct ivo_reply_t {

	/**
	 * Add one line: a JSON object as text, without line feed (one is added).
	 *
	 * @return			false when the answer cannot grow any more; the client then gets an error
	 */
	bool (*add_line)(ivo_reply_t *reply, const char *text, size_t length);

	/** End the answer with "error: <text>" instead of "ok". The first error stands. */
	void (*fail)(ivo_reply_t *reply, const char *text);
};

/**
 * Answers a command. Runs on one of the daemon's worker threads, for one request at a time, outside any bus hook.
 *
 * @param context		as given to add_command()
 * @param count			number of words, >= 1
 * @param words			the request's words, words[0] is the command
 * @param reply			receives the answer
 */
typedef void (*ivo_command_handler_t)(void *context, size_t count, const char *const words[], ivo_reply_t *reply);

/**
 * The registry of commands. hold() and release() are for the main thread, while plugins are loaded and unloaded; any thread
 * may call the others, but not from a handler.
 */
struct ivo_control_t {

	/** IVO_ABI_VERSION of the plugin that hosts it. Read this before anything else. */
	uint32_t abi_version;

	/** Keep the registry; one call for each plugin that uses it, its host included. */
	void (*hold)(ivo_control_t *control);

	/** Let go of the registry; the last one closes the socket. Remove the plugin's commands before. */
	void (*release)(ivo_control_t *control);

	/**
	 * Add a handler for a command.
	 *
	 * @param command	the command's word; not copied, must live until remove_commands()
	 * @return			false when out of memory
	 */
	bool (*add_command)(ivo_control_t *control, const char *command, ivo_command_handler_t handler, void *context);

	/** Remove all commands added with this context; returns when none of their handlers runs any more. */
	void (*remove_commands)(ivo_control_t *control, void *context);
};

IVO_END_DECLS

#endif /* IVO_CONTROL_H_ */
