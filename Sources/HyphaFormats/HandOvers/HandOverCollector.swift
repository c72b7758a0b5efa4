import HyphaCore

/// Collects the hand-overs from events given one at a time, with names as small integers.
///
/// A case is followed by its last event alone as long as its events come in order of time. The first
/// event that is earlier than the one before marks its case as out of order; what was found of it is
/// dropped, and a second reading collects the events of all such cases and sorts them.
struct HandOverCollector {
  private let name: String
  private let limits: HandOvers.Limits
  private var counts = HandOvers.Counts()
  private var found: [Found] = []

  private var cases = NameTable()
  private var progress: [CaseProgress] = []
  private var activities = NameTable()
  private var resources = NameTable()
  private var groups = NameTable()
  /// For each resource, how often its events name each group.
  private var groupCounts: [[Int32: Int]] = []
  private var groupPairCount = 0

  private var reordered: [Step] = []
  private var secondOrdinal = 0

  /// A hand-over before it has its index.
  private struct Found {
    var time: Int64
    /// The place of the receiving event among all events.
    var ordinal: Int
    var caseNumber: Int32
    var activity: Int32
    var from: Int32
    var to: Int32
  }

  /// An event of a case that has to be sorted.
  private struct Step {
    var time: Int64
    var ordinal: Int
    var caseNumber: Int32
    var activity: Int32
    var resource: Int32
  }

  /// How far a case has come: its last event that names a resource.
  private struct CaseProgress {
    var time = Int64.min
    var resource: Int32 = -1
    var isOutOfOrder = false
  }

  init(name: String, limits: HandOvers.Limits) {
    self.name = name
    self.limits = limits
  }

  /// Whether a second reading is needed.
  var hasCasesOutOfOrder: Bool { counts.reorderedCases > 0 }

  mutating func add(_ event: RecordedEvent) throws {
    let ordinal = counts.events
    counts.events += 1
    let caseNumber = cases.number(of: event.caseID)
    if caseNumber == progress.count {
      guard progress.count < limits.maximumCases else { throw tooMany("cases", limits.maximumCases) }
      progress.append(CaseProgress())
    }
    guard let resourceName = event.resource else {
      counts.eventsWithoutResource += 1
      return
    }
    let resource = try note(resourceName, group: event.group)
    let last = progress[Int(caseNumber)]
    if last.isOutOfOrder { return }
    guard event.time >= last.time else {
      progress[Int(caseNumber)].isOutOfOrder = true
      counts.reorderedCases += 1
      return
    }
    if last.resource >= 0, last.resource != resource {
      try append(
        Found(
          time: event.time, ordinal: ordinal, caseNumber: caseNumber,
          activity: activities.number(of: event.activity), from: last.resource, to: resource))
    }
    progress[Int(caseNumber)].time = event.time
    progress[Int(caseNumber)].resource = resource
  }

  mutating func beginSecondReading() {
    found.removeAll { progress[Int($0.caseNumber)].isOutOfOrder }
  }

  mutating func addAgain(_ event: RecordedEvent) throws {
    let ordinal = secondOrdinal
    secondOrdinal += 1
    guard let caseNumber = cases.knownNumber(of: event.caseID) else { throw changed() }
    guard progress[Int(caseNumber)].isOutOfOrder, let resourceName = event.resource else { return }
    guard let resource = resources.knownNumber(of: resourceName) else { throw changed() }
    guard reordered.count < limits.maximumReorderedEvents else {
      throw tooMany("events in cases that are not in order of time", limits.maximumReorderedEvents)
    }
    reordered.append(
      Step(
        time: event.time, ordinal: ordinal, caseNumber: caseNumber,
        activity: activities.number(of: event.activity), resource: resource))
  }

  mutating func endSecondReading() throws {
    guard secondOrdinal == counts.events else { throw changed() }
    // The ordinal makes the order total, so that equal times keep the order of the file.
    reordered.sort { ($0.caseNumber, $0.time, $0.ordinal) < ($1.caseNumber, $1.time, $1.ordinal) }
    var last: Step?
    for step in reordered {
      if let last, last.caseNumber == step.caseNumber, last.resource != step.resource {
        try append(
          Found(
            time: step.time, ordinal: step.ordinal, caseNumber: step.caseNumber, activity: step.activity,
            from: last.resource, to: step.resource))
      }
      last = step
    }
    reordered = []
  }

  /// Puts what was found in recorded order.
  mutating func finish() -> HandOvers {
    found.sort { ($0.time, $0.ordinal) < ($1.time, $1.ordinal) }
    counts.cases = progress.count
    counts.namedResources = resources.names.count
    var lastOfCase = [Int32](repeating: -1, count: progress.count)
    var takesPart = [Bool](repeating: false, count: resources.names.count)
    var all: [HandOver] = []
    all.reserveCapacity(found.count)
    for (index, handOver) in found.enumerated() {
      let before = lastOfCase[Int(handOver.caseNumber)]
      // The limits keep every count within Int32.
      lastOfCase[Int(handOver.caseNumber)] = Int32(index)
      takesPart[Int(handOver.from)] = true
      takesPart[Int(handOver.to)] = true
      all.append(
        HandOver(
          index: index, caseID: cases.names[Int(handOver.caseNumber)],
          activity: activities.names[Int(handOver.activity)], from: resources.names[Int(handOver.from)],
          to: resources.names[Int(handOver.to)], time: handOver.time,
          predecessor: before < 0 ? nil : Int(before)))
    }
    var groupOf: [String: String?] = [:]
    for number in takesPart.indices where takesPart[number] {
      groupOf.updateValue(mostFrequentGroup(number), forKey: resources.names[number])
    }
    return HandOvers(all: all, resources: groupOf, counts: counts)
  }

  private mutating func append(_ handOver: Found) throws {
    guard found.count < limits.maximumHandOvers else { throw tooMany("hand-overs", limits.maximumHandOvers) }
    found.append(handOver)
  }

  /// Counts a resource and the group that an event names for it.
  private mutating func note(_ resourceName: String, group: String?) throws -> Int32 {
    let resource = resources.number(of: resourceName)
    if resource == groupCounts.count {
      guard groupCounts.count < limits.maximumResources else {
        throw tooMany("resources", limits.maximumResources)
      }
      groupCounts.append([:])
    }
    guard let group else { return resource }
    let count = groupCounts[Int(resource)][groups.number(of: group), default: 0]
    if count == 0 {
      guard groupPairCount < limits.maximumResources else {
        throw tooMany("pairs of a resource and a group", limits.maximumResources)
      }
      groupPairCount += 1
    }
    groupCounts[Int(resource)][groups.number(of: group)] = count + 1
    return resource
  }

  /// The order of the dictionary does not matter: count and name decide.
  private func mostFrequentGroup(_ resource: Int) -> String? {
    var best: (count: Int, name: String)?
    for (group, count) in groupCounts[resource] {
      let name = groups.names[Int(group)]
      let isBetter = best.map { count > $0.count || (count == $0.count && name < $0.name) } ?? true
      if isBetter { best = (count, name) }
    }
    return best?.name
  }

  private func tooMany(_ what: String, _ limit: Int) -> HyphaError {
    HyphaError(
      .tooLarge, "\(name) has more than \(limit) \(what)", remedy: "raise the limit, or cut the recording")
  }

  private func changed() -> HyphaError {
    HyphaError(
      .invalidInput,
      "\(name) gave other events when it was read again, to sort \(counts.reorderedCases) cases by time",
      remedy: "give a file that nobody writes to, not a pipe, or sort its events by time")
  }
}

/// Names by number, in order of appearance.
private struct NameTable {
  private(set) var names: [String] = []
  private var numbers: [String: Int32] = [:]

  /// The number of `name`, a new one if it is new. Callers bound the count below `Int32.max`.
  mutating func number(of name: String) -> Int32 {
    if let number = numbers[name] { return number }
    let number = Int32(names.count)
    names.append(name)
    numbers[name] = number
    return number
  }

  func knownNumber(of name: String) -> Int32? { numbers[name] }
}
