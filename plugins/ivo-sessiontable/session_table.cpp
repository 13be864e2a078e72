// SPDX-License-Identifier: GPL-2.0-or-later
#include "session_table.h"

#include <numeric>

#include "common/options.h"

namespace ivo {

namespace {

constexpr std::array<const char*, IVO_MANAGER_METHODS> kMethodNames{
    "create_new",
    "checkout_new",
    "checkout",
    "track_init",
    "checkout_by_message",
    "checkout_by_config",
    "new_initiator_spi",
    "check_uniqueness",
    "has_contact",
    "checkout_by_id",
    "checkout_by_name",
    "create_enumerator",
    "create_id_enumerator",
    "checkin",
    "checkin_and_destroy",
    "get_count",
    "get_half_open_count",
    "set_spi_cb",
    "flush",
};
static_assert(kMethodNames.back() != nullptr, "a method has no name");

}  // namespace

SessionTable::SessionTable(const ivo_host_t& host) : host_(host), enabled_(host) {
    reload();
}

void SessionTable::reload() {
    Options options(host_);
    enabled_.update(options);
    options.reportUnknown();
}

void SessionTable::countCall(ivo_manager_method_t method) {
    Calls& calls = enabled_.on() ? delegated_ : bypassed_;
    calls[method].raise();
}

std::uint64_t SessionTable::total(const Calls& calls) {
    return std::accumulate(calls.begin(), calls.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Counter& counter) { return sum + counter.value(); });
}

std::uint64_t SessionTable::servedCalls() const {
    return std::accumulate(served_.begin(), served_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const BusyCounter& counter) { return sum + counter.value(); });
}

nlohmann::ordered_json SessionTable::describe(std::uint32_t ikeSas, std::uint32_t halfOpen) const {
    nlohmann::ordered_json served = nlohmann::ordered_json::object();
    nlohmann::ordered_json delegated = nlohmann::ordered_json::object();
    for (std::size_t method = 0; method < delegated_.size(); method++) {
        served[kMethodNames[method]] = served_[method].value();
        delegated[kMethodNames[method]] = delegated_[method].value();
    }
    return {
        {"plugin", host_.plugin},
        {"version", IVO_VERSION},
        {"enabled", enabled_.on()},
        {"ike_sas", ikeSas},
        {"half_open_ike_sas", halfOpen},
        {"registered_ike_sas", ikeSas_.registered()},
        {"half_open_addresses", ikeSas_.halfOpen().addresses()},
        {"child_sas", childSas_.count() / 2},
        {"refused_messages", ikeSas_.refused()},
        {"table_bytes", ikeSas_.bytes() + childSas_.bytes()},
        {"served_calls", servedCalls()},
        {"delegated_calls", delegatedCalls()},
        {"bypassed_calls", bypassedCalls()},
        {"served", std::move(served)},
        {"delegated", std::move(delegated)},
    };
}

}  // namespace ivo
