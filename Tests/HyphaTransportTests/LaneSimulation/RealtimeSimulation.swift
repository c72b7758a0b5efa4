import HyphaCore
import HyphaTransport

/// A run of the realtime gate from one seed: events of some lanes and subjects, lost, doubled, delayed and reordered, with
/// less room than there are subjects.
struct RealtimeSimulation {
  private let seed: UInt64

  init(seed: UInt64) { self.seed = seed }

  func run() throws {
    var random = SeededGenerator(seed: seed, name: "realtime")
    let limits = RealtimeGate.Limits(
      subjectCountMax: 1 + Int(random.next() % 6), subjectCountMaxInAll: 2 + Int(random.next() % 10))
    var gate = RealtimeGate(limits: limits)
    let (loss, duplication) = (Double(random.next() % 31) / 100, Double(random.next() % 31) / 100)
    let delayMax = random.next() % 30
    let subjects: [Subject] = ["a", "b", "c", "d", "e", "f", "g", "h"]
    let takers: [AgentID] = ["x", "y", "z"]
    var epoch: UInt64 = 1
    var arrivals: [(at: UInt64, record: Record)] = []
    for number in 1...(UInt64(40) + random.next() % 40) {
      if random.chance(0.03) { epoch += 1 }
      let record = Sample.record(
        at(epoch, number), after: .start, channel: .realtime, subject: subjects[Int(random.next() % 8)],
        addressee: takers[Int(random.next() % 3)])
      for _ in 0..<(random.chance(duplication) ? 2 : 1) where !random.chance(loss) {
        arrivals.append((number + random.next() % (delayMax + 1), record))
      }
    }
    arrivals.sort { ($0.at, $0.record.point) < ($1.at, $1.record.point) }
    var newest: [Lane: [Subject: LanePoint]] = [:]
    var passedCount = 0
    for (_, record) in arrivals {
      let last = newest[record.lane]?[record.subject] ?? .start
      let passes = !gate.newest(of: [record]).isEmpty
      if passes && record.point <= last {
        throw Broken("realtime-never-older", "\(record.point) of '\(record.subject)' passes after \(last)")
      }
      if passes {
        newest[record.lane, default: [:]][record.subject] = record.point
        passedCount += 1
      } else if delayMax == 0 && record.point > last {
        throw Broken("realtime-in-order-passes", "\(record.point) came in order and is held back")
      }
      guard gate.subjectCount <= limits.subjectCountMaxInAll else {
        throw Broken("realtime-bounded", "\(gate.subjectCount) subjects are remembered")
      }
    }
    guard passedCount > 0 || arrivals.isEmpty else {
      throw Broken("realtime-in-order-passes", "nothing passes")
    }
  }
}
