import HyphaCore
import HyphaFormats
import Testing

struct HandOversTests {
  private func handOvers(
    _ events: [RecordedEvent], limits: HandOvers.Limits = HandOvers.Limits()
  ) throws -> HandOvers {
    try HandOvers(limits: limits) { each in for event in events { try each(event) } }
  }

  private func event(
    _ caseID: String, _ resource: String?, _ time: Int64, _ activity: String = "a", group: String? = nil
  ) -> RecordedEvent {
    RecordedEvent(caseID: caseID, activity: activity, resource: resource, group: group, time: time)
  }

  @Test func `events without a resource neither make nor break a hand-over`() throws {
    let found = try handOvers([
      event("1", nil, 0), event("1", "x", 1), event("1", "x", 2), event("1", nil, 3),
      event("1", "y", 4, "b"), event("1", nil, 5), event("1", "y", 6), event("1", "x", 7, "c"),
    ])
    #expect(
      found.all == [
        HandOver(index: 0, caseID: "1", activity: "b", from: "x", to: "y", time: 4),
        HandOver(index: 1, caseID: "1", activity: "c", from: "y", to: "x", time: 7, predecessor: 0),
      ])
    #expect(found.counts.events == 8 && found.counts.eventsWithoutResource == 3 && found.counts.cases == 1)
  }

  @Test func `the order is by time, then by place in the file`() throws {
    let found = try handOvers([
      event("1", "x", 0), event("1", "y", 9), event("1", "x", 9),
      event("2", "x", 0), event("2", "y", 5), event("2", "z", 9),
    ])
    #expect(found.all.map(\.caseID) == ["2", "1", "1", "2"])
    #expect(found.all.map(\.predecessor) == [nil, nil, 1, 0])
    #expect(found.all.map(\.to) == ["y", "y", "x", "z"])
    #expect(found.counts.reorderedCases == 0)
  }

  @Test func `a case out of order is sorted stably in a second reading`() throws {
    var readings = 0
    let events = [
      event("1", "x", 5, "c"), event("2", "x", 1), event("1", "y", 2, "a"), event("2", "z", 3, "d"),
      event("1", "z", 2, "b"),
    ]
    let found = try HandOvers { each in
      readings += 1
      for event in events { try each(event) }
    }
    #expect(readings == 2 && found.counts.reorderedCases == 1 && found.counts.events == 5)
    #expect(found.all.map(\.activity) == ["b", "d", "c"])
    #expect(found.all.map(\.from) == ["y", "x", "z"])
    #expect(found.all.map(\.predecessor) == [nil, nil, 0])
  }

  @Test func `any order of the file agrees with sorting all events first`() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    var state = seed
    func random(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    for round in 0..<200 {
      let events = (0..<60).map { _ in
        event("\(random(4))", random(5) == 0 ? nil : "r\(random(3))", Int64(random(20)), "a\(random(9))")
      }
      let found = try handOvers(events)
      let sorted = events.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
      var last: [String: String] = [:]
      var lastIndex: [String: Int] = [:]
      var expected: [HandOver] = []
      for (_, event) in sorted {
        guard let to = event.resource else { continue }
        if let from = last[event.caseID], from != to {
          expected.append(
            HandOver(
              index: expected.count, caseID: event.caseID, activity: event.activity, from: from, to: to,
              time: event.time, predecessor: lastIndex[event.caseID]))
          lastIndex[event.caseID] = expected.count - 1
        }
        last[event.caseID] = to
      }
      #expect(found.all == expected, "seed \(seed), round \(round)")
      #expect(found.all.allSatisfy { ($0.predecessor ?? -1) < $0.index })
    }
  }

  @Test func `a resource's group is its most frequent, the first by name in a tie`() throws {
    let found = try handOvers([
      event("1", "x", 0, group: "B"), event("1", "x", 0, group: "A"), event("1", "y", 1, group: "B"),
      event("1", "y", 2, group: "B"), event("1", "y", 3, group: "A"), event("1", "z", 4),
      event("2", "alone", 0, group: "A"),
    ])
    #expect(found.resources == ["x": "A", "y": "B", "z": nil])
    #expect(found.counts.namedResources == 4)
  }

  @Test func `no events are no hand-overs`() throws {
    let found = try handOvers([])
    #expect(found.all.isEmpty && found.resources.isEmpty && found.counts == HandOvers.Counts())
  }

  @Test func `each bound is kept`() throws {
    let events = [
      event("1", "x", 2, group: "A"), event("1", "y", 3, group: "A"), event("1", "z", 4, group: "A"),
      event("2", "x", 9, group: "B"), event("2", "y", 8), event("2", "y", 8),
    ]
    let remedy = "raise the limit, or cut the recording"
    func refusal(_ limits: HandOvers.Limits) -> String {
      errorText { _ = try handOvers(events, limits: limits) }
    }
    #expect(
      refusal(.init(maximumHandOvers: 1)) == "tooLarge: the recording has more than 1 hand-overs; \(remedy)")
    #expect(refusal(.init(maximumCases: 1)) == "tooLarge: the recording has more than 1 cases; \(remedy)")
    #expect(refusal(.init(maximumResources: 2)).contains("has more than 2 resources;"))
    #expect(refusal(.init(maximumResources: 3)).contains("has more than 3 pairs of a resource and a group;"))
    #expect(
      refusal(.init(maximumReorderedEvents: 2)).contains(
        "has more than 2 events in cases that are not in order of time;"))
    #expect(refusal(.init(maximumHandOvers: 3, maximumCases: 2, maximumResources: 4)) == "")
  }

  @Test func `a recording that changes between two readings is refused`() throws {
    var events = [event("1", "x", 2), event("1", "y", 1)]
    let text = errorText {
      _ = try HandOvers(name: "log.csv") { each in
        for event in events { try each(event) }
        events.append(event("1", "x", 3))
      }
    }
    #expect(
      text == """
        invalidInput: log.csv gave other events when it was read again, to sort 1 cases by time; \
        give a file that nobody writes to, not a pipe, or sort its events by time
        """)
  }
}
