// SPDX-License-Identifier: GPL-2.0-or-later
#include "stats.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client.h"

namespace ivoctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kNameWidth = 28;

Json byPlugin(const std::vector<std::string>& lines) {
    Json all = Json::object();
    for (const auto& line : lines) {
        Json plugin = Json::parse(line, nullptr, false);
        if (!plugin.is_object() || !plugin.contains("plugin") || !plugin["plugin"].is_string()) {
            throw RequestError("the answer is not understood; ivoctl and the plugins may be of different releases");
        }
        const std::string name = plugin["plugin"];
        plugin.erase("plugin");
        all[name] = std::move(plugin);
    }
    return all;
}

std::string valueAsText(const Json& value) {
    if (value.is_boolean()) {
        return value.get<bool>() ? "yes" : "no";
    }
    return value.is_string() ? value.get<std::string>() : value.dump();
}

void appendMembers(std::string& text, const Json& object, std::size_t indent) {
    for (const auto& [name, value] : object.items()) {
        std::string label(indent, ' ');
        label += name;
        std::ranges::replace(label, '_', ' ');
        if (value.is_object()) {
            text += label + ":\n";
            appendMembers(text, value, indent + 2);
        } else {
            label.resize(std::max(label.size(), kNameWidth), ' ');
            text += label + "  " + valueAsText(value) + '\n';
        }
    }
}

}  // namespace

std::string statsAsJson(const std::vector<std::string>& lines) {
    return byPlugin(lines).dump() + '\n';
}

std::string statsAsText(const std::vector<std::string>& lines) {
    std::string text;
    const Json plugins = byPlugin(lines);
    for (const auto& [plugin, counters] : plugins.items()) {
        text += plugin + '\n';
        appendMembers(text, counters, 2);
    }
    return text;
}

}  // namespace ivoctl
