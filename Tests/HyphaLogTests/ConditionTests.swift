import HyphaCore
import HyphaLog
import Testing

/// Appends with a condition, on every backend.
@Suite struct ConditionTests {
  private func stream(_ agent: AgentID, epoch: UInt64 = 1) -> StreamID {
    StreamID(agent: agent, epoch: epoch, channel: .persistent)
  }

  @Test(arguments: Backend.allCases)
  func `of two writers who decided on the same facts only one succeeds`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var account = Author("account")
    _ = try await log.append(account.batch(3))
    var bob = Author("bob")
    var first = try bob.batch(1)
    first.expectedSequences = [stream("account"): 3]
    var cy = Author("cy")
    var second = try cy.batch(1)
    // What the first decides goes into the stream that the second has read as well.
    first.appends += try account.batch(1).appends
    second.expectedSequences = [stream("account"): 3]
    let receipt = try await log.append(first)
    #expect(receipt.count == 2 && receipt.last == Position(rawValue: 5))
    #expect(receipt.durability == .synced && !receipt.isRepeated)
    let late = second
    await expectError(.logConflict, "account", "ends with event 4", "not with 3", "decide again") {
      _ = try await log.append(late)
    }
    #expect(try log.laneHead(cy.lane()) == nil)
    second.expectedSequences = [stream("account"): 4, stream("nobody"): 0]
    _ = try await log.append(second)
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `two conditions in one group are met one after the other`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    var bob = Author("bob")
    var cy = Author("cy")
    var batches = [try bob.batch(1), try cy.batch(1)]
    batches[0].expectedSequences = [stream("bob"): 0]
    batches[1].expectedSequences = [stream("bob"): 0]
    let outcomes = Outcomes()
    log.holdingWriter {
      for (tag, batch) in batches.enumerated() { log.submit(batch, completion: outcomes.completion(tag)) }
    }
    let results = outcomes.wait(2)
    #expect(throws: Never.self) { try results[0].result.get() }
    expectError(.logConflict, "ends with event 1") { _ = try results[1].result.get() }
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `the same key and body is answered with the first receipt, another body is a conflict`(
    _ backend: Backend
  ) async throws {
    let home = backend.makeHome()
    var log = try home.open()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(2))
    var batch = try ana.batch(2)
    batch.idempotencyKey = "order-17"
    let first = try await log.append(batch)
    let again = try await log.append(batch)
    #expect(again.first == first.first && again.count == 2 && again.time == first.time)
    #expect(again.isRepeated && !first.isRepeated)
    log.close()
    // A writer that was restarted states the same in a new epoch, with new ids and times.
    log = try home.open()
    ana.beginEpoch()
    var restated = try ana.batch(2)
    restated.idempotencyKey = "order-17"
    #expect(try await log.append(restated).first == first.first)
    #expect(try log.head() == Position(rawValue: 4))
    var other = LogBatch(appends: [
      .init(try event("ana", 2, 1, after: LanePoint(epoch: 1, sequence: 4), payload: [9]))
    ])
    other.idempotencyKey = "order-17"
    let different = other
    await expectError(.logConflict, "order-17", "position 3", "a key of its own") {
      _ = try await log.append(different)
    }
    #expect(try log.head() == Position(rawValue: 4))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a key within one group counts, and goes with a batch that is refused`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    var batch = try ana.batch(1)
    batch.idempotencyKey = "k"
    var refused = LogBatch(appends: [.init(try event("bob", 1, 5))])
    refused.idempotencyKey = "r"
    var accepted = LogBatch(appends: [.init(try event("bob", 1, 1))])
    accepted.idempotencyKey = "r"
    let outcomes = Outcomes()
    log.holdingWriter {
      for (tag, batch) in [batch, batch, refused, accepted].enumerated() {
        log.submit(batch, completion: outcomes.completion(tag))
      }
    }
    let results = outcomes.wait(4).map(\.result)
    #expect(try results[1].get().first == results[0].get().first)
    #expect(throws: HyphaError.self) { try results[2].get() }
    #expect(try results[3].get().first == Position(rawValue: 2))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `an append behind a stale epoch is refused, in every lane`(_ backend: Backend) async throws {
    let home = backend.makeHome()
    var log = try home.open()
    var old = Author("ana")
    _ = try await log.append(old.batch(1))
    var new = Author("ana", epoch: 2)
    new.ends = old.ends
    _ = try await log.append(new.batch(1))
    // A lane that the new activation has not touched.
    let stale = LogBatch(appends: [.init(try old.next(to: "bob"))])
    await expectError(.logConflict, "epoch 1 of ana is over", "epoch 2") { _ = try await log.append(stale) }
    log.close()
    log = try home.open()
    await expectError(.logConflict, "epoch 1 of ana is over") { _ = try await log.append(stale) }
    // On another channel it has not been followed yet.
    var alerts = Author("ana", channel: .alert)
    _ = try await log.append(alerts.batch(1))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `an agent that has gone on at another node is fenced off here`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var old = Author("ana")
    _ = try await log.append(old.batch(1))
    var new = Author("ana", epoch: 2)
    new.ends = old.ends
    _ = try await log.append(LogBatch(appends: [.init(try new.next(), source: .received(hops: 1))]))
    let stale = LogBatch(appends: [.init(try old.next(to: "bob"))])
    await expectError(.logConflict, "epoch 1 of ana is over", "epoch 2") { _ = try await log.append(stale) }
    // What other nodes took of its old epoch is no statement, and welcome.
    _ = try await log.append(LogBatch(appends: [.init(stale.appends[0].record, source: .received(hops: 1))]))
    log.close()
  }
}
