// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/sessiontable.h>

#include <array>
#include <nlohmann/json.hpp>

#include "child_sa_table.h"
#include "common/counter.h"
#include "common/switch.h"
#include "ike_sa_table.h"

namespace ivo {

/// The core of ivo-sessiontable: the table, its switch, and counts of the manager's methods that charon's own manager
/// serves.
class SessionTable {
public:
    /// @param host  must outlive this object
    explicit SessionTable(const ivo_host_t& host);

    const ivo_host_t& host() const { return host_; }

    /// Read the options again. One thread at a time.
    void reload();

    /// A call that charon's manager is about to serve. Any thread, wait-free.
    void countCall(ivo_manager_method_t method);

    bool enabled() const { return enabled_.on(); }

    IkeSaTable& ikeSas() { return ikeSas_; }
    const IkeSaTable& ikeSas() const { return ikeSas_; }
    ChildSaTable& childSas() { return childSas_; }
    const ChildSaTable& childSas() const { return childSas_; }

    /// A call that the table serves. Any thread, wait-free.
    void countServed(ivo_manager_method_t method) { served_[method].raise(); }

    std::uint64_t servedCalls() const;
    std::uint64_t delegatedCalls() const { return total(delegated_); }
    std::uint64_t bypassedCalls() const { return total(bypassed_); }

    nlohmann::ordered_json describe(std::uint32_t ikeSas, std::uint32_t halfOpen) const;

private:
    using Calls = std::array<Counter, IVO_MANAGER_METHODS>;
    static std::uint64_t total(const Calls& calls);

    const ivo_host_t& host_;
    Switch enabled_;
    IkeSaTable ikeSas_;
    ChildSaTable childSas_;
    std::array<BusyCounter, IVO_MANAGER_METHODS> served_;
    Calls delegated_;
    Calls bypassed_;
};

}  // namespace ivo

/// The C ABI's opaque type.
struct ivo_sessiontable_t : ivo::SessionTable {
    using SessionTable::SessionTable;
};
