// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/sessiontable.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace ivo {

/// An IP address without a port; none if its length is 0.
class Address {
public:
    Address() = default;
    explicit Address(const ivo_address_t& from) : length_(from.length <= 16 ? from.length : std::uint8_t{16}) {
        std::copy_n(from.bytes, length_, bytes_.begin());
    }

    bool operator==(const Address&) const = default;

    explicit operator bool() const { return length_ != 0; }
    std::span<const std::uint8_t> bytes() const { return {bytes_.data(), length_}; }

    /// 4, 6, or 0 for none.
    std::uint8_t family() const { return length_ == 4 ? 4 : length_ == 16 ? 6 : 0; }

private:
    std::uint8_t length_ = 0;
    std::array<std::uint8_t, 16> bytes_{};
};

}  // namespace ivo
