import HyphaCore
import HyphaLog
import Testing

@testable import HyphaReplay

/// Why something happened, and what came of it.
@Suite struct CausalTraceTests {
  @Test(arguments: [false, true])
  func `a trace has the chain of causes and all that followed, each once`(isOnDisk: Bool) async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    let world = try World(seed: seed, nodeCount: 3, isOnDisk: isOnDisk)
    try await world.run(eventCount: 200)
    let headers = Dictionary(uniqueKeysWithValues: world.stated.map { ($0.header.id, $0.header) })
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20 {
      let asked = try #require(world.stated.randomElement(using: &random)).header
      var causes: [EventID] = []
      var next = asked.causation
      while let cause = headers[next] {
        causes.append(next)
        next = cause.causation
      }
      // Times grow from cause to effect, so one pass in their order finds all effects.
      var effects: Set<EventID> = [asked.id]
      for header in headers.values.sorted(by: { $0.time < $1.time }) where effects.contains(header.causation)
      {
        effects.insert(header.id)
      }
      let trace = try CausalTrace(of: asked.id, in: world.logs)
      let steps = trace.steps
      #expect(steps.prefix(causes.count).map(\.record.header.id) == causes.reversed(), "seed \(seed)")
      #expect(Set(steps.dropFirst(causes.count).map(\.record.header.id)) == effects, "seed \(seed)")
      #expect(steps.count == causes.count + effects.count && trace.isComplete && trace.missingCause == nil)
      #expect(steps[trace.focus].record.header.id == asked.id)
      for (index, step) in steps.enumerated() {
        #expect(step.copies.first?.source == .stated && step.commit != nil)
        guard let parent = step.parent, let delays = step.delays else {
          #expect(index == 0)
          continue
        }
        #expect(parent < index && step.depth == steps[parent].depth + 1)
        #expect(step.record.header.causation == steps[parent].record.header.id)
        #expect(delays.travel >= .zero && delays.handling >= .zero)
        #expect(delays.travel + delays.handling == delays.total)
      }
      let path = trace.longestPath
      #expect(
        path.first == 0 && steps[path.last ?? 0].record.header.time == steps.map(\.record.header.time).max())
    }
  }

  @Test func `the time goes to travel, handling and commit as the logs say`() async throws {
    func log(_ name: NodeID) throws -> (MemoryLog, World.SkewedTime) {
      let time = World.SkewedTime()
      let identity = LogIdentity(id: EventID(high: 1, low: 1), node: name)
      return (try MemoryLog(store: MemoryLogStore(identity: identity), time: time), time)
    }
    func record(_ agent: AgentID, _ id: UInt64, at time: UInt64, cause: UInt64 = 0) throws -> Record {
      try Record(
        RecordHeader(
          id: EventID(high: 1, low: id), time: Timestamp(microseconds: time), channel: .persistent,
          agent: agent,
          epoch: 1, sequence: 1, previous: .start, addressee: nil, type: "T", subject: "s",
          causation: cause == 0 ? .none : EventID(high: 1, low: cause), correlation: EventID(high: 1, low: 1),
          authority: Authority(principal: agent)), payload: Array("{}".utf8))
    }
    let ((desk, deskTime), (hq, hqTime)) = (try log("desk"), try log("hq"))
    let question = try record("ana", 1, at: 1_000)
    let answer = try record("bo", 2, at: 5_000, cause: 1)
    deskTime.set(1_100)
    _ = try await desk.append(LogBatch(appends: [.init(question)]))
    hqTime.set(1_700)
    _ = try await hq.append(LogBatch(appends: [.init(question, source: .received(hops: 3))]))
    hqTime.set(5_040)
    _ = try await hq.append(LogBatch(appends: [.init(answer)]))
    let trace = try CausalTrace(of: answer.header.id, in: [desk, hq])
    #expect(trace.steps[0].commit == .microseconds(100) && trace.steps[1].commit == .microseconds(40))
    let expected = CausalTrace.Delays(
      travel: .microseconds(700), handling: .microseconds(3_300), total: .microseconds(4_000), hopCount: 3)
    #expect(trace.steps[1].delays == expected)
    #expect(trace.slowest == 1)
    let dot = String(decoding: trace.bytes(as: .dot), as: UTF8.self)
    #expect(
      dot.contains(
        #"e1 [label="T\nbo → all\ns\nby bo (no grant, policy 0)\npersistent on hq, commit 40 µs", penwidth=3]"#
      ))
    #expect(
      dot.contains(
        #"e0 -> e1 [label="most time lost\n+4.0 ms\ntravel 700 µs over 3 hops\nhandling 3.3 ms", penwidth=2, color="#
      ))
    let mermaid = String(decoding: trace.bytes(as: .mermaid), as: UTF8.self)
    #expect(
      mermaid.contains(
        #"e0 ==>|"most time lost<br>+4.0 ms<br>travel 700 µs over 3 hops<br>handling 3.3 ms"| e1"#))
    #expect(mermaid.contains("linkStyle 0 stroke:"))
    // Without the log of its cause it says so.
    let alone = try CausalTrace(of: answer.header.id, in: [try await copy(of: answer)])
    #expect(alone.steps.count == 1 && alone.missingCause == question.header.id)
    expectError(.invalidInput, "does not have the event", "whole deployment") {
      _ = try CausalTrace(of: EventID(high: 9, low: 9), in: [desk])
    }
    for format in [CausalTrace.Format.dot, .mermaid] {
      #expect(String(decoding: alone.bytes(as: format), as: UTF8.self).contains("which none of the logs has"))
    }
    let cut = try CausalTrace(of: question.header.id, in: [desk, hq], limit: 1)
    #expect(String(decoding: cut.bytes(as: .dot), as: UTF8.self).contains("cut: there are more events"))
    #expect(cut.steps.count == 1 && !cut.isComplete)
    // What is cut above it is cut as well; a cause that no log has is not.
    let above = try CausalTrace(of: answer.header.id, in: [desk, hq], limit: 1)
    #expect(above.steps.count == 1 && !above.isComplete && above.missingCause == nil)
    let whole = try CausalTrace(of: answer.header.id, in: [desk, hq], limit: 2)
    #expect(whole.steps.count == 2 && whole.isComplete)
    let orphan = try CausalTrace(of: answer.header.id, in: [try await copy(of: answer)], limit: 1)
    #expect(orphan.isComplete && orphan.missingCause == question.header.id)
  }

  @Test func `a search for causes and effects says how far it is, and can be stopped`() async throws {
    struct Stop: Error {}
    let world = try World(seed: 5, nodeCount: 3)
    try await world.run(eventCount: 400)
    let first = try #require(
      world.stated.first { event in world.stated.contains { $0.header.causation == event.header.id } })
    var counts: [Int] = []
    let trace = try CausalTrace(of: first.header.id, in: world.logs) { counts.append($0) }
    // Once for each log that is asked for the event, and for each that is asked for effects.
    #expect(counts.count >= 6 && counts.prefix(3) == [0, 0, 0] && counts.sorted() == counts)
    #expect(counts[counts.count - 1] <= trace.steps.count && counts[counts.count - 1] > 1)
    for at in counts.indices {
      var left = at
      #expect(throws: Stop.self) {
        _ = try CausalTrace(of: first.header.id, in: world.logs) { _ in
          left -= 1
          if left < 0 { throw Stop() }
        }
      }
    }
  }

  private func copy(of record: Record) async throws -> MemoryLog {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "alone")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    _ = try await log.append(LogBatch(appends: [.init(record)]))
    return log
  }

  @Test func `a circle of false causes ends`() async throws {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
    for (sequence, cause) in [(1, 3), (2, 1), (3, 2)] as [(UInt64, UInt64)] {
      let header = RecordHeader(
        id: EventID(high: 1, low: sequence), time: Timestamp(microseconds: sequence), channel: .persistent,
        agent: "a",
        epoch: 1, sequence: sequence,
        previous: LanePoint(epoch: sequence > 1 ? 1 : 0, sequence: sequence - 1),
        addressee: nil, type: "T", subject: "s", causation: EventID(high: 1, low: cause),
        correlation: EventID(high: 1, low: 1), authority: Authority(principal: "a"))
      _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: []))]))
    }
    let trace = try CausalTrace(of: EventID(high: 1, low: 2), in: [log])
    #expect(trace.steps.count == 3)
  }

  @Test(arguments: CausalTrace.Format.allCases)
  func `each format is written for other programs, whatever the names`(format: CausalTrace.Format)
    async throws
  {
    let world = try World(seed: 11, nodeCount: 2)
    try await world.run(eventCount: 60)
    let first = try #require(world.stated.first).header.id
    let trace = try CausalTrace(of: first, in: world.logs)
    let text = String(decoding: trace.bytes(as: format), as: UTF8.self)
    switch format {
    case .json, .otlp:
      let value = try JSON.decode(JSONValue.self, from: text.utf8)
      if case .array(let steps)? = value["steps"] { #expect(steps.count == trace.steps.count) }
      #expect(value["steps"] != nil || value["resourceSpans"] != nil)
    case .dot:
      #expect(text.hasPrefix("digraph") && text.ranges(of: " -> ").count == trace.steps.count - 1)
    case .mermaid:
      #expect(text.hasPrefix("flowchart") && text.ranges(of: "|\"").count == trace.steps.count - 1)
    }
  }
}
