import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

@Suite struct MailboxTests {
  private func delivery(_ position: UInt64, _ channel: Channel = .persistent) throws -> Delivery {
    let record = try record("a", channel, position)
    return Delivery(
      header: record.header, content: .record(record), position: Position(rawValue: position), hops: 0)
  }

  @Test func `an inbox that falls behind and joins live again loses nothing and doubles nothing`() throws {
    for seed in seeds(400) {
      var random = SeededGenerator(seed: seed)
      func below(_ bound: UInt64) -> UInt64 { UInt64.random(in: 0..<bound, using: &random) }
      // The log: whether each entry is for the agent. Offers come later than entries, in their order.
      var log = (0..<below(20)).map { _ in below(2) == 0 }
      let handled = below(UInt64(log.count) + 1)
      let newest = log.indices.last { log[$0] }.map { UInt64($0) + 1 } ?? 0
      var inbox = LoggedInbox(
        capacity: Int(1 + below(5)), handled: Position(rawValue: handled), newest: Position(rawValue: newest))
      var offered = UInt64(log.count)
      var got: [UInt64] = []
      var isOver = false
      func consume() {
        let taken = inbox.take(upTo: Int(1 + below(4)))
        got += taken.compactMap { $0.position?.rawValue }
        guard taken.isEmpty, let after = inbox.catchUp?.rawValue, after < log.count else { return }
        let last = min(UInt64(log.count), after + 1 + below(6))
        got += (after + 1...last).filter { log[Int($0) - 1] }
        // More is committed, and offered, while the part is handled.
        if !isOver, below(2) == 0 { step() }
        inbox.caughtUp(through: Position(rawValue: last))
      }
      func step() {
        log.append(below(3) > 0)
        while offered < log.count, below(3) > 0 { offer() }
      }
      func offer() {
        offered += 1
        if log[Int(offered) - 1], let delivery = try? delivery(offered) { inbox.offer(delivery) }
      }
      for _ in 0..<200 { if below(2) == 0 { step() } else { consume() } }
      isOver = true
      while offered < log.count { offer() }
      var patience = 1000
      while inbox.hasWork, patience > 0 {
        consume()
        patience -= 1
      }
      let wanted = log.indices.filter { log[$0] && $0 >= Int(handled) }.map { UInt64($0) + 1 }
      #expect(patience > 0, "HYPHA_SEED=\(seed)")
      #expect(got == wanted, "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `a full inbox of a logged channel leaves the rest in the log`() throws {
    var inbox = LoggedInbox(capacity: 3, handled: .start, newest: .start)
    for position in 1...10 as ClosedRange<UInt64> { inbox.offer(try delivery(position)) }
    #expect(inbox.backlog == 4, "three events, and the rest as one")
    #expect(inbox.take(upTo: 10).count == 3)
    #expect(inbox.catchUp == Position(rawValue: 3))
    inbox.caughtUp(through: Position(rawValue: 10))
    #expect(inbox.catchUp == nil && !inbox.hasWork)
  }

  @Test func `a full realtime inbox keeps the newest of each subject and counts what it drops`() throws {
    var inbox = RealtimeInbox(capacity: 2)
    func offer(_ sequence: UInt64, _ subject: Subject) throws -> [String] {
      let record = try record("a", .realtime, sequence, type: "load.Signal", subject: subject)
      let dropped = inbox.offer(Delivery(header: record.header, content: .record(record)))
      return dropped.map { ["\($0.delivery.header.sequence)", $0.cause.rawValue] } ?? []
    }
    #expect(try offer(1, "one") == [])
    #expect(try offer(2, "two") == [])
    #expect(try offer(3, "two") == ["2", "replaced"])
    #expect(inbox.count == 2)
    #expect(try offer(4, "three") == ["1", "inbox full"])
    let (fresh, expired) = inbox.take(upTo: 9, now: .zero)
    #expect(fresh.map(\.header.sequence) == [3, 4])
    #expect(expired.isEmpty && inbox.count == 0)
  }

  @Test func `a realtime event past its time to live is counted and not delivered`() throws {
    var inbox = RealtimeInbox()
    for sequence in 1...3 as ClosedRange<UInt64> {
      let record = try record("a", .realtime, sequence, type: "load.Signal")
      _ = inbox.offer(
        Delivery(
          header: record.header, content: .record(record), expiresAt: Timestamp(microseconds: 10 * sequence)))
    }
    let (fresh, expired) = inbox.take(upTo: 9, now: Timestamp(microseconds: 20))
    #expect(fresh.map(\.header.sequence) == [3])
    #expect(expired.map(\.header.sequence) == [1, 2])
  }

  @Test func `alerts come before realtime events, and those before persistent ones`() async throws {
    let mailbox = Mailbox(
      alert: LoggedInbox(handled: .start, newest: .start),
      persistent: LoggedInbox(handled: .start, newest: .start))
    for (position, channel) in [(1, Channel.persistent), (2, .realtime), (3, .alert)] as [(UInt64, Channel)] {
      _ = mailbox.offer(try delivery(position, channel))
    }
    #expect(mailbox.backlog == 4, "three events, and the agent's start")
    let work = await mailbox.next(upTo: 10) { .zero }
    #expect(work?.deliveries.map(\.header.channel) == [.alert, .realtime, .persistent])
    #expect(mailbox.backlog == 1, "what the agent has in hand counts until it asks again")
    mailbox.stop()
    #expect(await mailbox.next(upTo: 10) { .zero } == nil)
  }
}
