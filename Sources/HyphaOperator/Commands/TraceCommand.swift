import HyphaCore
import HyphaLog
import HyphaReplay

/// `hypha trace`: why an event came to be, and what came of it.
struct TraceCommand: Command {
  /// How a trace is printed.
  enum Format: String, CaseIterable, ExpressibleByArgument { case text, dot, mermaid, json, otlp }

  static let configuration = CommandConfiguration(
    name: "trace", abstract: "Say why an event came to be, and what came of it.",
    discussion: """
      Follows the event's causes to the first one and its effects to the last, through the logs of all nodes. Each step \
      says on whose authority it was taken and where its time went: 'travel' until the node of the next agent had it, \
      'handling' until that agent stated the next event, 'commit' until its log had that.
      """,
    examples: [
      "hypha trace 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --data data/incident-room",
      "hypha trace 01932f6e-8a3c-7d21-9f44-5b0c6c1f2e3d --data data/incident-room --format dot",
    ])

  @Argument(help: "The event's id, as 'hypha replay --json' prints it.", valueName: "event") var event:
    EventID
  @OptionGroup var logs: LogsOptions
  @Option(help: "The most events to show.", valueName: "count") var limit: AtLeast<1> = 10_000
  @Option(help: "How to print.") var format: Format = .text
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    let readers = try logs.open()
    let trace = try await LongWork.run { work in
      try CausalTrace(of: event, in: readers, limit: limit.value) { count in
        let events = "\(Human.count(count)) \(count == 1 ? "event" : "events")"
        try work.pass("\(event): \(events) found", done: "\(events); nothing was printed")
      }
    }
    switch json ? .json : format {
    case .text:
      let width = Terminal.current.isOutputTTY ? Terminal.current.width : Int.max
      try TraceView(trace, style: Terminal.current.style()).write {
        try Output.standard.writeLine(truncated($0, to: width))
      }
    case .dot: try Output.standard.write(bytes: trace.bytes(as: .dot))
    case .mermaid: try Output.standard.write(bytes: trace.bytes(as: .mermaid))
    case .json: try Output.standard.write(bytes: trace.bytes(as: .json))
    case .otlp: try Output.standard.write(bytes: trace.bytes(as: .otlp))
    }
  }
}
