#include "tests/support/kv/serial_history.h"

#include <algorithm>

namespace splitring::testing {
namespace {

// Transactions by their place in the history; behind them a node for each tick of the clock at
// which one ended, so that "before in real time" takes few edges.
class Graph {
 public:
  explicit Graph(size_t nodes) : after_(nodes), before_count_(nodes) {}
  void add(size_t before, size_t after) {
    if (before == after) return;
    after_[before].push_back(after);
    before_count_[after]++;
  }
  // One of those that are in a circle or behind one; none: there is no circle.
  [[nodiscard]] size_t in_circle() const {
    std::vector<size_t> left = before_count_;
    std::vector<size_t> ready;
    for (size_t i = 0; i < left.size(); i++)
      if (left[i] == 0) ready.push_back(i);
    while (!ready.empty()) {
      const size_t node = ready.back();
      ready.pop_back();
      for (const size_t next : after_[node])
        if (--left[next] == 0) ready.push_back(next);
    }
    return static_cast<size_t>(std::ranges::find_if(left, [](size_t n) { return n != 0; }) -
                               left.begin());
  }

 private:
  std::vector<std::vector<size_t>> after_;
  std::vector<size_t> before_count_;
};

void add_real_time(const std::vector<SerialTransaction>& history, Graph& graph) {
  std::vector<std::pair<uint64_t, size_t>> ends;
  for (size_t i = 0; i < history.size(); i++) ends.emplace_back(history[i].ended, i);
  std::ranges::sort(ends);
  for (size_t i = 0; i < ends.size(); i++) {
    graph.add(ends[i].second, history.size() + i);
    if (i != 0) graph.add(history.size() + i - 1, history.size() + i);
  }
  for (size_t i = 0; i < history.size(); i++) {
    const auto first_later = std::ranges::lower_bound(ends, std::pair(history[i].begun, size_t{0}));
    if (first_later != ends.begin())
      graph.add(history.size() + static_cast<size_t>(first_later - ends.begin()) - 1, i);
  }
}

}  // namespace

std::string why_not_serial(const std::vector<SerialTransaction>& history) {
  std::map<uint64_t, size_t> by_number;
  for (size_t i = 0; i < history.size(); i++) by_number[history[i].number] = i;
  // Who came behind a version of a key.
  std::map<std::pair<std::string, uint64_t>, size_t> next;
  for (size_t i = 0; i < history.size(); i++)
    for (const std::string& key : history[i].written) {
      const uint64_t replaced = history[i].seen.at(key);
      if (const auto [at, is_new] = next.try_emplace({key, replaced}, i); !is_new)
        return "lost update: " + std::to_string(history[i].number) + " and " +
               std::to_string(history[at->second].number) + " both replaced what " +
               std::to_string(replaced) + " had written to " + key;
    }
  Graph graph(2 * history.size());
  for (size_t i = 0; i < history.size(); i++)
    for (const auto& [key, number] : history[i].seen) {
      if (number != 0) {
        const auto writer = by_number.find(number);
        if (writer == by_number.end() ||
            std::ranges::count(history[writer->second].written, key) == 0)
          return std::to_string(history[i].number) + " saw in " + key + " what " +
                 std::to_string(number) + " never committed";
        graph.add(writer->second, i);
      }
      if (const auto replaced = next.find({key, number}); replaced != next.end())
        graph.add(i, replaced->second);
    }
  add_real_time(history, graph);
  if (const size_t node = graph.in_circle(); node < history.size())
    return "transaction " + std::to_string(history[node].number) + " is in a circle, or behind one";
  else if (node < 2 * history.size())
    return "a circle goes through real time";
  return {};
}

}  // namespace splitring::testing
