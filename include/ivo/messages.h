/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file messages.h
 * The message catalogue: every line that the plugins write to charon's log.
 *
 * Each message is three arguments: its name, its level (charon's: 0 audit, 1 control, 2 diagnosis) and a printf format.
 * In the log it reads "<plugin>: [<name>] <text>". The comment above each one has two paragraphs, what it means and
 * what an operator does about it; `scripts/message-catalogue` makes the operator's page of them.
 * No message may be logged for each packet or each SA.
 */
#ifndef IVO_MESSAGES_H_
#define IVO_MESSAGES_H_

/**
 * Another strongSwan, or one built with other options, is running than the one that the plugin was built for.
 * Its objects are laid out differently in memory, so the plugin stays out and charon goes on without it.
 *
 * Install the plugin package made for the running strongSwan version, or build the plugins against its source.
 */
#define IVO_MSG_ABI_MISMATCH "abi-mismatch", 1, "not loaded: built for %s, but %s; install the build for this strongSwan"

/**
 * An option has a value outside its range, or one that cannot be read at all. The default is in force instead.
 *
 * Correct the option in strongswan.conf and run `swanctl --reload-settings`.
 */
#define IVO_MSG_OPTION_INVALID "option-invalid", 1, "%s = %s is not %s; using the default, %s"

/**
 * The plugin's section of strongswan.conf has an option that it does not know: perhaps a misspelt one.
 *
 * Correct or remove it; ivo-plugins(5) lists the options.
 */
#define IVO_MSG_OPTION_UNKNOWN "option-unknown", 1, "%s is not an option of this plugin and is ignored"

/**
 * The plugin's behaviour was switched off by its option `enabled`, at start or at run time. What happens from now on is
 * stock charon's doing.
 *
 * None, if that is what you wanted; else set `enabled = yes` and run `swanctl --reload-settings`.
 */
#define IVO_MSG_SWITCHED_OFF "switched-off", 1, "switched off by %s"

/**
 * The plugin's behaviour was switched on again at run time.
 *
 * None.
 */
#define IVO_MSG_SWITCHED_ON "switched-on", 1, "switched on by %s"

/**
 * charon's IKE_SA manager has been replaced, before any IKE_SA existed.
 *
 * None.
 */
#define IVO_MSG_MANAGER_ACTIVE "manager-active", 1, "IKE_SA manager in place"

/**
 * The daemon shuts down and charon's own IKE_SA manager is back where it was.
 *
 * None. The numbers tell how many calls the plugin's manager has served since it was loaded, and how many it passed on to
 * charon's own: while it was switched on, which is none unless it had been off before, and while it was off.
 */
#define IVO_MSG_MANAGER_RETURNED "manager-returned", 1, \
	"charon's IKE_SA manager is back in place (calls served: %llu, delegated: %llu, bypassed: %llu)"

/**
 * The plugin ran out of memory, or another failure inside it was caught, while it was set up. It is not in use;
 * charon goes on without it.
 *
 * Look at the reason given; free memory, then restart the daemon.
 */
#define IVO_MSG_START_FAILED "start-failed", 1, "not in use: %s"

/**
 * The options could not be read again, for lack of memory most likely. The plugin goes on with those that it had.
 *
 * Look at the reason given; then run `swanctl --reload-settings` again.
 */
#define IVO_MSG_RELOAD_FAILED "reload-failed", 1, "options not read again, the previous ones stay: %s"

/**
 * There was no memory to list IKE_SAs. Whoever asked for the list got an empty one; no SA is lost.
 *
 * Free memory on the gateway.
 */
#define IVO_MSG_LISTING_FAILED "listing-failed", 1, "IKE_SAs cannot be listed: %s"

/**
 * The control socket could not be opened, so ivoctl cannot reach this daemon. Everything else works.
 *
 * See the line of charon's own just before this one for the reason. Check the option, the folder's permissions and, on
 * Debian, the AppArmor profile; then restart the daemon.
 */
#define IVO_MSG_CONTROL_FAILED "control-failed", 1, "control socket %s cannot be opened; ivoctl will not work"

/**
 * Another plugin of the set, built with another version of the ABI that they share, hosts the control socket. This plugin
 * works, but ivoctl does not show it.
 *
 * Install the plugins of one release.
 */
#define IVO_MSG_CONTROL_VERSION "control-version", 1, \
	"control socket is hosted with ABI version %u, this plugin has %u; ivoctl will not show it"

#endif /* IVO_MESSAGES_H_ */
