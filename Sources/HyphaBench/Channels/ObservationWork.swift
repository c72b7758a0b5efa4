import HyphaCore
import HyphaTopology
import Synchronization

/// The processor time that observing takes for an event, by itself: the counting where events leave, and the reports of a second
/// from what was counted to what the observer makes of them. Without the commit of a report, and its way.
struct ObservationWork {
  /// Events that leave a node in one go, as one addition: a frame of small events.
  private static let runLength = 64
  /// Realtime events are counted one by one.
  private let eventsPerRun: Int
  private let eventsPerSecond: Double
  private static let sources = (0..<4).map { AgentID(unchecked: "source-\($0)") }

  init(_ channel: Channel, eventsPerSecond: Double) {
    eventsPerRun = channel == .realtime ? 1 : Self.runLength
    self.eventsPerSecond = max(1, eventsPerSecond)
  }

  /// Both together, an event.
  var nanosecondsPerEvent: Double {
    get throws { countingNanoseconds() / Double(eventsPerRun) + (try reportNanoseconds()) / eventsPerSecond }
  }

  private static func lane(_ source: AgentID) -> Lane {
    Lane(agent: source, channel: .persistent, target: .type("bench.Reading"))
  }

  /// For a run of events: the counter of its lane, and the age of what leaves.
  private func countingNanoseconds(_ runCount: Int = 400_000) -> Double {
    let meter = FlowMeter()
    let lanes = Self.sources.map(Self.lane)
    let counters = lanes.map { meter.counter(of: $0) { ["sink-0"] } }
    let sent = Mutex<[NodeID: AgeSum]>([:])
    let begin = Monotonic.processorNanoseconds()
    for number in 0..<runCount {
      if eventsPerRun == 1 {
        counters[number & 3].add(1)
      } else {
        meter.counter(of: lanes[number & 3]) { ["sink-0"] }.add(eventsPerRun)
        sent.withLock { $0["receiver-0", default: AgeSum()].add(eventsPerRun, age: 1000) }
      }
    }
    return Double(Monotonic.processorNanoseconds() - begin) / Double(runCount)
  }

  /// For the reports of one second of one node.
  private func reportNanoseconds(_ reportCount: Int = 2_000) throws -> Double {
    var observer = ObserverPolicy()
    observer.node = "origin"
    let agents = Self.sources.map { source in
      AgentSpec(
        id: source, kind: "k", node: "origin", reportsTo: source == Self.sources[0] ? nil : Self.sources[0])
    }
    let sink = AgentSpec(id: "sink-0", kind: "k", node: "receiver-0", reportsTo: Self.sources[0])
    var seat = try ObserverSeat(
      Topology(
        name: "bench", nodes: [NodeSpec(id: "origin"), NodeSpec(id: "receiver-0")], agents: agents + [sink],
        observer: observer))
    let meter = FlowMeter()
    let counters = Self.sources.map { meter.counter(of: Self.lane($0)) { ["sink-0"] } }
    var watch = LoadWatch()
    var figures = LoadWatch.Figures()
    let events = max(1, Int(eventsPerSecond) / counters.count)
    let begin = Monotonic.processorNanoseconds()
    for number in 1...UInt64(reportCount) {
      for counter in counters { counter.add(events) }
      let time = Timestamp(microseconds: number * 1_000_000)
      let id = EventID(time: time, random: number)
      if let report = meter.report(by: "origin") {
        seat.take(
          try JSON.decode(FlowReported.self, from: JSON.encode(report)), id, correlation: id)
      }
      figures.sent["receiver-0", default: AgeSum()].add(events, age: 1000)
      if let report = watch.report(figures, by: "origin", at: time) {
        seat.take(try JSON.decode(LoadReported.self, from: JSON.encode(report)))
      }
    }
    return Double(Monotonic.processorNanoseconds() - begin) / Double(reportCount)
  }
}
