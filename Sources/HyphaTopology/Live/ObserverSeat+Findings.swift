import HyphaCore

/// What the seat finds in reports, beside what it decides.
extension ObserverSeat {
  /// Takes a report of load. What follows from it is in ``findingsDue``.
  public mutating func take(_ report: LoadReported) {
    let (numbers, nodes) = (numbers, nodes)
    findings.take(report) {
      numbers[$0] != nil
    } knowsNode: {
      nodes.contains($0)
    }
  }

  /// What is found and the log does not have, or has and is found no more; nil where they agree, and where another node
  /// decides. Whoever states it waits until it is in the log before it looks again.
  public var findingsDue: FindingsChanged? {
    guard isActive else { return nil }
    let isNew = findingsTerm < term
    var change = findings.current.change(from: isNew ? [:] : statedFindings)
    if isNew, !statedFindings.isEmpty { change = change ?? FindingsChanged(began: [], ended: []) }
    change?.term = statedTerm
    return change
  }

  /// Takes note that a change of what is found is in the log, whoever has stated it.
  public mutating func confirm(_ event: FindingsChanged) {
    let term = event.term ?? 1
    guard term >= findingsTerm else { return }
    if term > findingsTerm { (findingsTerm, statedFindings) = (term, [:]) }
    statedFindings.apply(event)
  }

  /// Looks again at who has most events.
  mutating func lookAtPairs() {
    let (names, observer) = (names, observer)
    findings.lookAtPairs {
      let ends = [names[Int($0.low)], names[Int($0.high)]].sorted()
      return Finding.Topic(.hotPair, ends[0], other: ends[1])
    } isServed: {
      observer.tree.distance($0.low, $0.high) < 2 || observer.isLinked($0)
    }
  }
}
