import HyphaCore
import HyphaLog

/// A trace as a picture's source: a box for each event with the authority that it was stated on, an arrow for each cause with the
/// time that it took and the hops that it went. The longest path is drawn heavy, and where most time was lost along it, red.
struct TracePicture {
  private let trace: CausalTrace
  private let longestPath: Set<Int>
  private let slowest: Int?

  init(_ trace: CausalTrace) {
    self.trace = trace
    longestPath = Set(trace.longestPath)
    slowest = trace.slowest
  }

  /// How an arrow is drawn.
  private enum Weight { case plain, longest, slowest }

  private func weight(_ index: Int) -> Weight {
    index == slowest ? .slowest : longestPath.contains(index) ? .longest : .plain
  }

  // MARK: What it says

  private func event(_ step: CausalTrace.Step) -> [String] {
    let header = step.record.header
    let grant = header.authority.grant.isEmpty ? "no grant" : header.authority.grant
    var place = "\(header.channel) on \(step.copies.map(\.node.text).joined(separator: ", "))"
    if let commit = step.commit { place += ", commit \(Self.text(commit))" }
    return [
      header.type.text, "\(header.agent) → \(header.addressee?.text ?? "all")", header.subject.text,
      "by \(header.authority.principal) (\(grant), policy \(header.authority.policyVersion))", place,
    ]
  }

  private func cause(_ delays: CausalTrace.Delays, _ weight: Weight) -> [String] {
    let hops =
      delays.hopCount > 0 ? " over \(delays.hopCount) \(delays.hopCount == 1 ? "hop" : "hops")" : ""
    return (weight == .slowest ? ["most time lost"] : []) + [
      "+\(Self.text(delays.total))", "travel \(Self.text(delays.travel))\(hops)",
      "handling \(Self.text(delays.handling))",
    ]
  }

  /// What is not among the events: the cause of the first one, and what was cut.
  private var missing: (before: String?, behind: String?) {
    (
      trace.missingCause.map {
        "caused by \($0), which none of the logs has\(trace.missingCauseLoss.map { "; it \($0)" } ?? "")"
      },
      trace.isComplete ? nil : "cut: there are more events"
    )
  }

  private static func text(_ duration: Duration) -> String {
    let micros = duration.wholeMicroseconds
    if micros < 1_000 { return "\(micros) µs" }
    let (divisor, unit): (Int64, String) =
      micros < 1_000_000 ? (1_000, "ms") : micros < 120_000_000 ? (1_000_000, "s") : (60_000_000, "min")
    let tenths = (Int64(clamping: micros) * 10 + divisor / 2) / divisor
    return tenths >= 1_000 ? "\((tenths + 5) / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
  }

  // MARK: Graphviz

  func writeDot(to buffer: inout TextBuffer) {
    func quoted(_ lines: [String]) -> String {
      let parts = lines.map { line in
        line.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0.isNewline ? " " : String($0) }.joined()
      }
      return "\"\(parts.joined(separator: "\\n"))\""
    }
    buffer.append("digraph trace {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n")
    buffer.append("  edge [fontname=\"sans-serif\", fontsize=11];\n")
    if let before = missing.before {
      buffer.append(text: "  before [label=\(quoted([before])), shape=plaintext];\n  before -> e0;\n")
    }
    for (index, step) in trace.steps.enumerated() {
      let style = index == trace.focus ? ", penwidth=3" : ""
      buffer.append(text: "  e\(index) [label=\(quoted(event(step)))\(style)];\n")
      guard let parent = step.parent, let delays = step.delays else { continue }
      let weight = weight(index)
      let look =
        switch weight {
        case .plain: ""
        case .longest: ", penwidth=2"
        case .slowest: ", penwidth=2, color=\"#c02020\", fontcolor=\"#c02020\""
        }
      buffer.append(text: "  e\(parent) -> e\(index) [label=\(quoted(cause(delays, weight)))\(look)];\n")
    }
    if let behind = missing.behind {
      buffer.append(text: "  behind [label=\(quoted([behind])), shape=plaintext];\n")
    }
    buffer.append("}\n")
  }

  // MARK: Mermaid

  func writeMermaid(to buffer: inout TextBuffer) {
    func quoted(_ lines: [String]) -> String {
      let text = lines.map { line in
        line.unicodeScalars.map { scalar in
          // Entities are Mermaid's way to write what would end a label or be taken for markup.
          "\"#<>&;`".unicodeScalars.contains(scalar) || scalar.value < 32
            ? "#\(scalar.value);" : String(scalar)
        }.joined()
      }
      return "\"\(text.joined(separator: "<br>"))\""
    }
    buffer.append("flowchart LR\n")
    // Mermaid counts arrows from 0, in the order in which they are written.
    var arrowCount = 0
    var looks: [String] = []
    if let before = missing.before {
      buffer.append(text: "  before[\(quoted([before]))]\n  before --> e0\n")
      arrowCount += 1
    }
    for (index, step) in trace.steps.enumerated() {
      buffer.append(text: "  e\(index)[\(quoted(event(step)))]\n")
      guard let parent = step.parent, let delays = step.delays else { continue }
      let weight = weight(index)
      let arrow = weight == .plain ? "-->" : "==>"
      buffer.append(text: "  e\(parent) \(arrow)|\(quoted(cause(delays, weight)))| e\(index)\n")
      if weight == .slowest { looks.append("  linkStyle \(arrowCount) stroke:#c02020,color:#c02020\n") }
      arrowCount += 1
    }
    if let behind = missing.behind { buffer.append(text: "  behind[\(quoted([behind]))]\n") }
    for look in looks { buffer.append(text: look) }
    buffer.append(text: "  style e\(trace.focus) stroke-width:3px\n")
  }
}
