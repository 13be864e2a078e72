// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <exception>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>

#include <ivo/control.h>

#include "log.h"

/// Where C++ ends: what the extern "C" functions of every core need to keep exceptions inside.
namespace ivo {

/// Construct a core for C. Failures are logged and give NULL.
/// Only std::exception is caught: a cancelled thread unwinds by another type, which must pass.
template <typename Core>
Core* createCore(const ivo_host_t& host) {
    try {
        return new Core(host);
    } catch (const std::exception& failure) {
        log(host, IVO_MSG_START_FAILED, failure.what());
        return nullptr;
    }
}

/// Answer a request with the object that `describe` returns, or with an error.
template <typename Describe>
void answer(ivo_reply_t& reply, Describe describe) {
    try {
        const std::string line = describe().dump();
        reply.add_line(&reply, line.data(), line.size());
    } catch (const std::exception& failure) {
        reply.fail(&reply, failure.what());
    }
}

/// List SAs for a caller in C that gets an empty list, and an operator who gets a line in the log, if memory runs out.
template <typename Action>
void list(const ivo_host_t& host, Action action) {
    try {
        action();
    } catch (const std::exception& failure) {
        log(host, IVO_MSG_LISTING_FAILED, failure.what());
    }
}

/// Let a core read its options again; if that fails it keeps those that it had.
template <typename Core>
void reloadCore(Core& core) {
    // charon reloads on SIGHUP in its main thread and on swanctl's request in a worker.
    static std::mutex oneAtATime;
    const std::lock_guard lock(oneAtATime);
    try {
        core.reload();
    } catch (const std::exception& failure) {
        log(core.host(), IVO_MSG_RELOAD_FAILED, failure.what());
    }
}

}  // namespace ivo
