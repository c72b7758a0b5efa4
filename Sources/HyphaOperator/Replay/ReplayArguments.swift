import HyphaCore
import HyphaLog
import HyphaReplay

/// An end of a range on the command line: `4711`, `sequence:17` or `2026-01-31T12:00:00Z`.
struct PlaceArgument: Sendable, ExpressibleByArgument {
  let bound: ReplayRange.Bound

  init?(argument: String) {
    guard let value = try? Self(argument) else { return nil }
    self = value
  }

  init(_ text: String) throws {
    if let position = UInt64(text) {
      bound = .position(Position(rawValue: position))
    } else if text.hasPrefix("sequence:"), let sequence = UInt64(text.dropFirst("sequence:".count)) {
      bound = .sequence(sequence)
    } else if let time = try? Moment(text) {
      bound = .time(time.timestamp)
    } else {
      throw HyphaError(
        .usage, "'\(text)' is no position, sequence or time",
        remedy: "use a form such as 4711, sequence:17 or 2026-01-31T12:00:00Z")
    }
  }

  static func parse(argument: String) throws -> Self { try Self(argument) }
  static var argumentDescription: String { "a position, sequence:N or a time" }
}

/// A pace on the command line: `max`, `realtime`, `step`, or times as fast as recorded, `8x`.
struct RateArgument: Sendable, ExpressibleByArgument {
  let rate: ReplayPace.Rate
  let isStep: Bool
  let argumentText: String

  static let max = Self(rate: .unlimited, isStep: false, argumentText: "max")

  private init(rate: ReplayPace.Rate, isStep: Bool, argumentText: String) {
    self.rate = rate
    self.isStep = isStep
    self.argumentText = argumentText
  }

  init?(argument: String) {
    switch argument {
    case "max": self = .max
    case "realtime": self.init(rate: .times(1), isStep: false, argumentText: argument)
    case "step": self.init(rate: .times(1), isStep: true, argumentText: argument)
    default:
      guard argument.hasSuffix("x"), let times = Double(argument.dropLast()), times >= ReplayPace.timesMin,
        times <= ReplayPace.timesMax
      else { return nil }
      self.init(rate: .times(times), isStep: false, argumentText: argument)
    }
  }

  static var argumentDescription: String { "max, realtime, step, or a speed such as 8x or 0.5x" }
}

/// The logs that a command is about.
struct LogsOptions: ArgumentGroup {
  @Option(help: "A deployment's data directory, or a node's.", valueName: "directory", completion: .directory)
  var data: String = "data/incident-room"
  @Option(help: "Only the logs of these nodes; default all.", valueName: "name") var node: [NodeID] = []

  /// Opens the logs; they can be read while their nodes run.
  ///
  /// - Throws: ``HyphaError/Code/usage`` when a node is named that has no log there, and what opening throws.
  func open() throws -> [any LogReader] {
    let read = try Program.require().readLog
    let logs = try DataPlaces.logs(in: data).map { try read($0) }
    for name in node where !logs.contains(where: { $0.identity.node == name }) {
      throw HyphaError(
        .usage, "\(data) holds no log of node '\(name)'",
        remedy: "name one of \(logs.map(\.identity.node.text).joined(separator: ", "))")
    }
    return node.isEmpty ? logs : logs.filter { node.contains($0.identity.node) }
  }
}
