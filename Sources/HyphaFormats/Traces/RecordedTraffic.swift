import HyphaCore

/// Who sent to whom, in order of time: what is left of a recording for a simulation of routes.
///
/// A recording is an edge list (``EdgeList``) or an event log whose hand-overs are taken (``HandOvers``). Events from
/// somebody to themselves are left out. Memory is 8 bytes an event, and 8 more while it is read.
public struct RecordedTraffic: Sendable {
  /// The names of those who send or receive, in order of appearance.
  public internal(set) var names: [String] = []
  /// The group of each, nil where the recording names none.
  public internal(set) var groups: [String?] = []
  /// For each event the places of its sender and its receiver in ``names``.
  public internal(set) var events: [(from: Int32, to: Int32)] = []

  /// Nobody's traffic.
  init() {}

  /// Traffic that was recorded elsewhere, in the order of time. Each number is a place in `names`.
  public init(names: [String], events: [(from: Int32, to: Int32)]) {
    self.names = names
    self.events = events
    groups = Array(repeating: nil, count: names.count)
  }

  /// What may be held at most: 200,000,000 events among 16,000,000 names.
  static let eventCountMax = 200_000_000
  static let nameCountMax = 16_000_000

  /// The traffic of the file at `path`, plain or gzip; its format is told by its content unless `options` names one.
  ///
  /// - Throws: `fileUnavailable`, `invalidInput` naming file and line, `tooLarge` past a limit.
  public static func read(path: String, options: RecordedEvents.Options = RecordedEvents.Options()) throws
    -> RecordedTraffic
  {
    if options.format == nil {
      let head = try GzipInputStream(path: path, limits: options.limits).peek()
      if EdgeList.isLikely(head) { return try EdgeList.read(path: path, limits: options.limits) }
    }
    let recording = try HandOvers.read(path: path, options: options)
    var collector = TrafficCollector(path: path)
    for handOver in recording.all {
      try collector.add(from: handOver.from, to: handOver.to, time: handOver.time)
    }
    var traffic = collector.finish()
    traffic.groups = traffic.names.map { recording.resources[$0] ?? nil }
    return traffic
  }
}

/// Collects events with names as numbers, and puts them in order of time.
struct TrafficCollector {
  private let path: String
  private var traffic = RecordedTraffic()
  private var numbers: [String: Int32] = [:]
  private var times: [Int64] = []
  private var isInOrder = true

  init(path: String) { self.path = path }

  var eventCount: Int { traffic.events.count }

  mutating func add(from: String, to: String, time: Int64) throws {
    guard from != to else { return }
    guard traffic.events.count < RecordedTraffic.eventCountMax else {
      throw HyphaError(
        .tooLarge, "\(path) has more than \(RecordedTraffic.eventCountMax) events",
        remedy: "cut the recording")
    }
    let event = (from: try number(of: from), to: try number(of: to))
    traffic.events.append(event)
    if let last = times.last, time < last { isInOrder = false }
    times.append(time)
  }

  private mutating func number(of name: String) throws -> Int32 {
    if let number = numbers[name] { return number }
    guard traffic.names.count < RecordedTraffic.nameCountMax else {
      throw HyphaError(
        .tooLarge, "\(path) has more than \(RecordedTraffic.nameCountMax) names", remedy: "cut the recording")
    }
    let number = Int32(traffic.names.count)
    traffic.names.append(name)
    numbers[name] = number
    return number
  }

  /// The traffic in order of time; events of one time keep the order of the file.
  consuming func finish() -> RecordedTraffic {
    var traffic = traffic
    if !isInOrder {
      let order = traffic.events.indices.sorted { (times[$0], $0) < (times[$1], $1) }
      traffic.events = order.map { traffic.events[$0] }
    }
    traffic.groups = [String?](repeating: nil, count: traffic.names.count)
    return traffic
  }
}
