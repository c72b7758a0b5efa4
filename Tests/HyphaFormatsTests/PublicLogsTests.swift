import HyphaFormats
import Testing

/// The figures that are published, or were computed apart from this code, for public event logs.
@Suite(.enabled(if: PublicLogs.areThere, PublicLogs.absence))
struct PublicLogsTests {
  private func read(_ name: String, _ options: RecordedEvents.Options = .init()) throws -> HandOvers {
    try HandOvers.read(path: PublicLogs.path(name), options: options)
  }

  private func pairs(_ handOvers: HandOvers) -> Int {
    Set(handOvers.all.map { [$0.from, $0.to] }).count
  }

  @Test func `BPIC 2012 has its published counts and survives a round trip`() throws {
    let log = try read("bpic2012.xes.gz")
    #expect(log.counts.events == 262_200 && log.counts.cases == 13_087)
    #expect(log.counts.eventsWithoutResource == 18_010 && log.counts.reorderedCases == 0)
    #expect(log.all.count == 51_712 && log.resources.count == 68 && pairs(log) == 2_599)
    #expect(log.all.allSatisfy { ($0.predecessor ?? -1) < $0.index })
    let scratch = try Scratch()
    try HandOverFile.write(log.all, to: scratch.path("h.csv"))
    #expect(try HandOverFile.load(path: scratch.path("h.csv")) == log.all)
  }

  @Test func `the CoSeLoG receipts have their published counts`() throws {
    let log = try read("coselog-receipt.xes.gz")
    #expect(log.counts.events == 8_577 && log.counts.cases == 1_434)
    #expect(log.all.count == 1_208 && log.resources.count == 45 && pairs(log) == 246)
    #expect(log.counts.namedResources == 48)
    #expect(log.resources["Resource02"] == "Group 1")
    #expect(!log.resources.values.contains("EMPTY"))
  }

  @Test func `the running example has its counts`() throws {
    let log = try read("running-example.xes")
    #expect(log.counts.events == 42 && log.counts.cases == 6)
    #expect(log.all.count == 32 && log.resources.count == 6 && pairs(log) == 18)
  }

  @Test func `BPIC 2020 reads by role, with and without placeholders`() throws {
    let byRole = RecordedEvents.Options(resourceKey: "org:role")
    let verbatim = RecordedEvents.Options(resourceKey: "org:role", placeholders: [""])
    let domestic = try read("bpic2020-DomesticDeclarations.xes.gz", byRole)
    #expect(domestic.counts.events == 55_628 && domestic.counts.cases == 10_357)
    #expect(domestic.counts.eventsWithoutResource == 19_826 + 89)
    #expect(domestic.all.count == 24_283 && domestic.resources.count == 5)
    let prepaid = try read("bpic2020-PrepaidTravelCost.xes.gz", byRole)
    #expect(prepaid.counts.events == 17_507 && prepaid.counts.cases == 2_007)
    #expect(prepaid.all.count == 11_199 && prepaid.resources.count == 6)
    let verbatimDomestic = try read("bpic2020-DomesticDeclarations.xes.gz", verbatim)
    #expect(verbatimDomestic.all.count == 34_287 && verbatimDomestic.resources.count == 7)
    let verbatimPrepaid = try read("bpic2020-PrepaidTravelCost.xes.gz", verbatim)
    #expect(verbatimPrepaid.all.count == 13_146 && verbatimPrepaid.resources.count == 8)
  }

  @Test func `an edge list is not taken for an event log`() {
    let path = PublicLogs.path("CollegeMsg.txt.gz")
    #expect(
      errorText { try RecordedEvents.read(path: path) { _ in } }.hasPrefix(
        "invalidInput: the format of \(path) is not recognised;"))
  }
}
