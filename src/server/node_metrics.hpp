// The node's counters as /metrics shows them (Prometheus text exposition format 0.0.4).
#pragma once

#include <cstddef>
#include <string>

namespace bop::server {

class Storage;

[[nodiscard]] std::string node_metrics(Storage& storage, std::size_t connections);

}  // namespace bop::server
