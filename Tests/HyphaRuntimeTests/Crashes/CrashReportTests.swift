import HyphaCore
import Testing

@testable import HyphaRuntime

/// What a process that has ended says of the calls that it was in.
@Suite struct CrashReportTests {
  private let agents: [AgentID] = ["ana", "bob", "cy"]
  private let event = EventID(high: 7, low: 9)

  /// Has a task of its own, which does not end, note a call, and maybe a trap.
  private func call(
    _ journal: CallJournal, _ agent: AgentID, _ purpose: CallPurpose, trap: Int32? = nil
  ) async {
    let event = event
    await withCheckedContinuation { begun in
      Task.detached {
        journal.slot(of: agent)?.begin(purpose, purpose.isLifecycle ? .none : event)
        if let trap { journal.noteTrap(trap) }
        begun.resume()
        try? await Task.sleep(for: .seconds(5), clock: .suspending)
      }
    }
  }

  private func next(_ journal: CallJournal) -> CallJournal { CallJournal(of: agents, after: journal.bytes) }

  @Test func `a signal that comes upon a call is that call's`() async {
    let journal = CallJournal(of: agents)
    // One of those that run has started no task; its own is told from the others' by the task.
    journal.slot(of: "bob")?.begin(.persistent, event)
    await call(journal, "ana", .persistent, trap: 4)
    let after = next(journal)
    #expect(after.report.signal == 4 && after.report.brokenCount == 1)
    let broken = BrokenCall(purpose: .persistent, event: event, signal: 4, isCertain: true, count: 1)
    #expect(after.brokenCall(of: "ana") == broken && after.brokenCall(of: "bob") == nil)
    #expect(next(after).report.signal == nil, "it is told once")
  }

  @Test func `a call counts as failed in each process until the log has that, or the agent ends another`()
    async
  {
    let journal = CallJournal(of: agents)
    await call(journal, "ana", .persistent, trap: 4)
    var after = next(next(journal))
    let broken = BrokenCall(purpose: .persistent, event: event, signal: 4, isCertain: true, count: 1)
    #expect(after.brokenCall(of: "ana") == broken && after.report.brokenCount == 1)
    await call(after, "bob", .alert, trap: 11)
    after = next(after)
    #expect(after.brokenCall(of: "ana") == broken && after.brokenCall(of: "bob")?.signal == 11)
    after.slot(of: "bob")?.settle(.persistent)
    after.slot(of: "ana")?.settle(.persistent)
    await call(after, "bob", .start, trap: 6)
    after = next(after)
    #expect(after.brokenCall(of: "ana") == nil && after.brokenCall(of: "bob")?.purpose == .start)
  }

  @Test func `a signal that comes upon no call counts for every call with an event, but for the disk's`()
    async
  {
    let guilty: [(signal: Int32, agents: [AgentID])] = [(11, ["ana", "bob"]), (7, [])]
    for (signal, expected) in guilty {
      let journal = CallJournal(of: agents)
      await call(journal, "ana", .persistent)
      await call(journal, "bob", .alert)
      await call(journal, "cy", .start)
      await Task.detached { journal.noteTrap(signal) }.value
      let after = next(journal)
      #expect(agents.filter { after.brokenCall(of: $0) != nil } == expected)
      #expect(after.brokenCall(of: "ana")?.isCertain != true)
    }
  }

  enum Started: CaseIterable { case child, member, unstructured, grandchild }

  @Test(arguments: Started.allCases)
  func `a signal that comes upon a task which an agent has started is its call's`(_ how: Started) async {
    let journal = CallJournal(of: agents)
    await call(journal, "ana", .persistent)
    let event = event
    await Task.detached {
      await CallSlot.$owner.withValue(journal.slot(of: "bob")?.name ?? 0) {
        journal.slot(of: "bob")?.begin(.persistent, event)
        switch how {
        case .child:
          async let trap: Void = journal.noteTrap(4)
          await trap
        case .member: await withTaskGroup { $0.addTask { journal.noteTrap(4) } }
        case .unstructured: await Task { journal.noteTrap(4) }.value
        case .grandchild: await Task { await Task { journal.noteTrap(4) }.value }.value
        }
      }
    }.value
    let after = next(journal)
    #expect(after.brokenCall(of: "ana") == nil && after.report.brokenCount == 1)
    let broken = BrokenCall(purpose: .persistent, event: event, signal: 4, isCertain: false, count: 1)
    #expect(after.brokenCall(of: "bob") == broken)
  }

  @Test func `who asked the agent that trapped in its answer counts as failed, too`() async {
    let journal = CallJournal(of: agents)
    await call(journal, "ana", .persistent)
    await call(journal, "bob", .question, trap: 4)
    let after = next(journal)
    #expect(after.brokenCall(of: "ana")?.isCertain == false && after.brokenCall(of: "bob") == nil)
  }

  @Test func `calls that have come back, and processes that ended without a trap, are none`() async {
    let journal = CallJournal(of: agents)
    await call(journal, "ana", .persistent)
    #expect(next(journal).report.brokenCount == 0)
    journal.slot(of: "ana")?.end()
    await Task.detached { journal.noteTrap(4) }.value
    #expect(next(journal).report.signal == 4 && next(journal).report.brokenCount == 0)
  }

  @Test func `starts are counted from process to process until one comes back`() async {
    var journal = CallJournal(of: agents)
    for number in 1...3 {
      await call(journal, "ana", .start, trap: 4)
      journal = next(journal)
      #expect(journal.brokenCall(of: "ana")?.count == number)
      // One that ends by other means says nothing, and loses no count.
      journal = next(journal)
      #expect(journal.brokenCall(of: "ana") == nil)
    }
    journal.slot(of: "ana")?.settle(.wake)
    await call(journal, "ana", .start, trap: 4)
    journal = next(journal)
    #expect(journal.brokenCall(of: "ana")?.count == 4, "another purpose's return settles nothing")
    journal.slot(of: "ana")?.settle(.start)
    await call(journal, "ana", .start, trap: 4)
    #expect(next(journal).brokenCall(of: "ana")?.count == 1)
  }

  @Test func `the next process may have other agents`() async {
    let journal = CallJournal(of: agents)
    await call(journal, "cy", .persistent, trap: 4)
    let after = CallJournal(of: ["dee", "cy"], after: journal.bytes)
    #expect(after.brokenCall(of: "cy")?.event == event && after.brokenCall(of: "dee") == nil)
    #expect(after.slot(of: "ana") == nil)
  }

  @Test func `bytes that are no journal say nothing, and none trap`() {
    var random = SeededGenerator(seed: 1)
    let journal = CallJournal(of: agents)
    journal.slot(of: "ana")?.begin(.persistent, event)
    journal.noteTrap(4)
    let whole = journal.bytes
    #expect(CrashReport(reading: []).signal == nil)
    for length in 0..<whole.count { _ = CrashReport(reading: Array(whole.prefix(length))) }
    for _ in 0..<2_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
      }
      _ = CallJournal(of: agents, after: bytes)
    }
  }
}
