import HyphaCore
import HyphaReplay

/// A trace as a tree for people: a line for each event, and below it where its time went and on whose authority.
struct TraceView {
  private let trace: CausalTrace
  private let style: Style
  /// How many effects each step has.
  private let effectCounts: [Int]
  /// How many forks lie above each step, but for that of its cause.
  private let depths: [Int]
  /// What the trace works out of all of its steps.
  private let (longestPath, slowest): ([Int], Int?)

  /// Deeper than this a line is not moved further to the right.
  private static let indentMax = 16

  init(_ trace: CausalTrace, style: Style) {
    self.trace = trace
    self.style = style
    var counts = Array(repeating: 0, count: trace.steps.count)
    for step in trace.steps { if let parent = step.parent { counts[parent] += 1 } }
    effectCounts = counts
    (longestPath, slowest) = (trace.longestPath, trace.slowest)
    var depths: [Int] = []
    for step in trace.steps {
      guard let parent = step.parent else {
        depths.append(0)
        continue
      }
      let grandparent = trace.steps[parent].parent
      depths.append(depths[parent] + (grandparent.map { counts[$0] > 1 } ?? false ? 1 : 0))
    }
    self.depths = depths
  }

  /// Gives `put` line after line.
  func write(_ put: (String) throws -> Void) throws {
    if let missing = trace.missingCause {
      let loss = trace.missingCauseLoss.map { "; it \($0)" } ?? ""
      try put(style.yellow("caused by \(missing), which none of the logs has\(loss)"))
    }
    let isLast = lastSiblings()
    // Whether, at each depth, the line of an ancestor's siblings goes on.
    var bars: [Bool] = []
    for (index, step) in trace.steps.enumerated() {
      let hasEffects = index + 1 < trace.steps.count && trace.steps[index + 1].parent == index
      let goesOn = step.depth > 0 && !isLast[index]
      // A chain, where each event has one effect, stays where it is.
      let depth = depths[index]
      while bars.count > depth { bars.removeLast() }
      let indent = bars.suffix(Self.indentMax).map { $0 ? "│ " : "  " }.joined()
      let branch = step.depth == 0 ? "" : isFork(step.parent) ? (goesOn ? "├─" : "└─") : "↓ "
      try put(indent + style.dim(branch) + title(index, step))
      if isFork(step.parent) { bars.append(goesOn) }
      let below = bars.suffix(Self.indentMax).map { $0 ? "│ " : "  " }.joined()
      try put(below + style.dim((hasEffects && !isFork(index) ? "│ " : "  ") + details(step)))
    }
    for line in summary() { try put(line) }
  }

  private func isFork(_ index: Int?) -> Bool { index.map { effectCounts[$0] > 1 } ?? false }

  private func lastSiblings() -> [Bool] {
    var last: [Int: Int] = [:]
    for (index, step) in trace.steps.enumerated() { if let parent = step.parent { last[parent] = index } }
    return trace.steps.indices.map { index in trace.steps[index].parent.map { last[$0] == index } ?? true }
  }

  private func title(_ index: Int, _ step: CausalTrace.Step) -> String {
    let header = step.record.header
    let delay = step.delays.map { "  +" + Human.duration($0.total) } ?? "  \(header.time.text)"
    let name = "\(header.agent) → \(header.addressee?.text ?? "all")  \(header.type)  \(header.subject)"
    let mark = index == trace.focus ? style.yellow(" ◀ asked for") : ""
    let isSlowest = index == slowest
    return (index == trace.focus ? style.bold(name) : name)
      + (isSlowest ? style.red(delay) : style.cyan(delay)) + mark
  }

  private func details(_ step: CausalTrace.Step) -> String {
    let header = step.record.header
    var parts: [String] = []
    if let delays = step.delays {
      let hops =
        delays.hopCount > 0 ? " over \(delays.hopCount) \(delays.hopCount == 1 ? "hop" : "hops")" : ""
      parts.append(
        "travel \(Human.duration(delays.travel))\(hops), handling \(Human.duration(delays.handling))")
    }
    if let commit = step.commit { parts.append("commit \(Human.duration(commit))") }
    let grant = header.authority.grant.isEmpty ? "no grant" : header.authority.grant
    parts.append("by \(header.authority.principal) (\(grant), policy \(header.authority.policyVersion))")
    parts.append("\(header.channel) on \(step.copies.map(\.node.text).joined(separator: ", "))")
    return printable(parts.joined(separator: ", "))
  }

  private func summary() -> [String] {
    let (path, steps) = (longestPath, trace.steps)
    let cut = trace.isComplete ? "" : " (cut; raise --limit)"
    guard let first = path.first, let last = path.last, path.count > 1 else {
      return trace.isComplete ? [] : ["", "1 event\(cut)"]
    }
    let whole = steps[last].record.header.time.since(steps[first].record.header.time)
    let travel = path.reduce(Duration.zero) { $0 + (steps[$1].delays?.travel ?? .zero) }
    let handling = path.reduce(Duration.zero) { $0 + (steps[$1].delays?.handling ?? .zero) }
    var lines = [
      "",
      "\(Human.count(steps.count)) events\(cut), "
        + "\(Human.duration(whole)) along the longest path of \(path.count): "
        + "travel \(Human.duration(travel)), handling \(Human.duration(handling))",
    ]
    if let (place, lost) = slowestPlace {
      lines.append("most time was lost \(place): \(style.red(Human.duration(lost)))")
    }
    return lines
  }

  /// Where the slowest step took its time, and how much.
  private var slowestPlace: (String, Duration)? {
    guard let slowest, let delays = trace.steps[slowest].delays, let parent = trace.steps[slowest].parent
    else { return nil }
    let (from, to) = (trace.steps[parent].record.header.agent, trace.steps[slowest].record.header.agent)
    guard delays.travel > delays.handling else { return ("at \(to)", delays.handling) }
    return (from == to ? "between two events of \(to)" : "on the way from \(from) to \(to)", delays.travel)
  }
}
