import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

/// What a node counts for the observer beside flows: who relays how much and how late, and what waits.
extension Node {
  /// Takes note of how old events of one lane are when they leave for other nodes.
  func noteDeparture(_ records: ArraySlice<Record>, along step: RouteStep) {
    guard topology.observer.node != nil, let last = records.last else { return }
    let age = now().since(last.time).wholeMicroseconds
    desks.topology.load.withLock { load in
      for forward in step.forwards {
        load.sent[forward.node, default: AgeSum()].add(records.count, age: age)
      }
    }
  }

  /// States what has changed of load and waits.
  func reportLoad(now: Timestamp) {
    let figures = loadFigures(now: now)
    let report = desks.topology.load.withLock { load in
      var figures = figures
      for (node, sum) in load.sent { figures.sent[node, default: AgeSum()].add(sum) }
      return load.watch.report(figures, by: configuration.node, at: now)
    }
    if let report { state(own: report, because: nil) }
  }

  private func loadFigures(now: Timestamp) -> LoadWatch.Figures {
    var figures = LoadWatch.Figures()
    let (relayed, runners) = state.withLock { ($0.relayCounts, $0.runnerOrder) }
    figures.relayed = relayed.mapValues { $0.value.load(ordering: .relaxed) }
    for channel in Channel.allCases {
      guard let counters = couriers[channel]?.courier.withLock({ $0.counters }) else { continue }
      for (agent, count) in counters.relayed { figures.relayed[agent, default: 0] += count }
      for (agent, sums) in counters.sources {
        figures.sources[agent, default: [:]].merge(sums) { $0.adding($1) }
      }
      for (node, sum) in counters.sent { figures.sent[node, default: AgeSum()].add(sum) }
    }
    var waits: [(since: Timestamp, wait: LoadReported.Wait)] = []
    for runner in runners {
      let (oldest, count) = runner.mailbox.waiting
      let agent = runner.spec.id
      if count > 0, !topology.children(of: agent).isEmpty { figures.inboxes[agent] = count }
      guard let oldest, let seconds = Self.waited(since: oldest.time, now: now) else { continue }
      waits.append(
        (
          oldest.time,
          .init(
            agent: agent, alert: nil, type: oldest.header.type, seconds: seconds,
            usualMicroseconds: Int(clamping: runner.usualWaitMicroseconds))
        ))
    }
    waits += alertWaits(now: now) + decisionWaits(now: now)
    figures.waits = waits.sorted { ($0.since, $0.wait.agent) < ($1.since, $1.wait.agent) }.map(\.wait)
    return figures
  }

  private func alertWaits(now: Timestamp) -> [(since: Timestamp, wait: LoadReported.Wait)] {
    let limit = Timestamp(microseconds: now.microseconds - min(now.microseconds, 2_000_000))
    let (alerts, answered) = desk.state.withLock { state in
      state.tracker.waitingCount > 0
        ? (state.tracker.waiting(since: limit).prefix(LoadReported.countMax), state.tracker.answered)
        : ([], [:])
    }
    return alerts.compactMap { alert in
      guard let seconds = Self.waited(since: alert.statedAt, now: now),
        let holder = alert.duties.first(where: \.isWaiting)?.holder
      else { return nil }
      return (
        alert.statedAt,
        .init(
          agent: holder, alert: alert.id, type: alert.type, seconds: seconds,
          usualMicroseconds: Int(clamping: answered[alert.type]?.mean ?? 0))
      )
    }
  }

  /// The seconds since a time as a power of two; nil where they are less than two.
  static func waited(since time: Timestamp, now: Timestamp) -> Int? {
    let seconds = Int(clamping: now.since(time).wholeMicroseconds / 1_000_000)
    return seconds < 2 ? nil : 1 << (Int.bitWidth - 1 - seconds.leadingZeroBitCount)
  }
}

extension AgeSum {
  fileprivate func adding(_ other: AgeSum) -> AgeSum {
    var sum = self
    sum.add(other)
    return sum
  }
}
