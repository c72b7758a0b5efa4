import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

@Suite struct MailboxTests {
  private func delivery(_ position: UInt64, _ channel: Channel = .persistent) throws -> Delivery {
    Delivery(try record("a", channel, position), position: Position(rawValue: position), hops: 0)
  }

  /// Events at positions in a row that came together.
  private func delivery(_ positions: ClosedRange<UInt64>) throws -> Delivery {
    let records = try positions.map { try record("a", .persistent, $0) }
    return Delivery(records[...], position: Position(rawValue: positions.lowerBound), hops: 0)
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
        bounds: InboxBounds(count: Int(1 + below(5)), byteCount: Int(200 + below(2000))),
        handled: Position(rawValue: handled), newest: Position(rawValue: newest))
      var offered = UInt64(log.count)
      var got: [UInt64] = []
      var isOver = false
      func consume() {
        let taken = inbox.take(upTo: Int(1 + below(4)))
        for delivery in taken {
          guard let first = delivery.position, let last = delivery.lastPosition else { continue }
          got += first.rawValue...last.rawValue
        }
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
        let first = offered + 1
        offered = first
        guard log[Int(first) - 1] else { return }
        // Neighbours often come together.
        while offered < log.count, log[Int(offered)], below(3) > 0 { offered += 1 }
        if let delivery = try? delivery(first...offered) { inbox.offer(delivery) }
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
    var inbox = LoggedInbox(bounds: InboxBounds(count: 3), handled: .start, newest: .start)
    for position in 1...10 as ClosedRange<UInt64> { inbox.offer(try delivery(position)) }
    #expect(inbox.backlog == 4, "three events, and the rest as one")
    #expect(inbox.take(upTo: 10).count == 3)
    #expect(inbox.catchUp == Position(rawValue: 3))
    inbox.caughtUp(through: Position(rawValue: 10))
    #expect(inbox.catchUp == nil && !inbox.hasWork)
  }

  @Test
  func `an inbox takes as much of what came together as it has room for, and gives as much as is asked`()
    throws
  {
    var inbox = LoggedInbox(bounds: InboxBounds(count: 8), handled: Position(rawValue: 2), newest: .start)
    inbox.offer(try delivery(1...5))
    inbox.offer(try delivery(6...12))
    #expect(inbox.backlog == 9, "eight events, and the rest as one")
    let taken = inbox.take(upTo: 4)
    #expect(taken.map(\.position?.rawValue) == [3, 6] && taken.map(\.count) == [3, 1])
    #expect(inbox.take(upTo: 9).map(\.lastPosition?.rawValue) == [10])
    #expect(inbox.catchUp == Position(rawValue: 10))
  }

  @Test func `an inbox holds no more bytes than its bound, but one event of any size`() throws {
    let bounds = InboxBounds(count: 100, byteCount: 4_000)
    func event(_ sequence: UInt64, _ channel: Channel) throws -> Delivery {
      let subject = try Subject("s.\(sequence)")
      let record = try record("a", channel, sequence, subject: subject, byteCount: 3_000)
      return Delivery(record, position: channel.isLogged ? Position(rawValue: sequence) : nil)
    }
    var logged = LoggedInbox(bounds: bounds, handled: .start, newest: .start)
    for position in 1...3 as ClosedRange<UInt64> { logged.offer(try event(position, .persistent)) }
    #expect(logged.take(upTo: 9).count == 1)
    #expect(logged.catchUp == Position(rawValue: 1))
    var realtime = RealtimeInbox(bounds: bounds)
    let dropped = try (1...3).map { realtime.offer(try event($0, .realtime)) }
    #expect(dropped.map { $0.map(\.delivery.header.sequence) } == [[], [1], [2]])
    #expect(dropped.joined().allSatisfy { $0.cause == .inboxFull })
    #expect(realtime.take(upTo: 9).map(\.header.sequence) == [3])
  }

  @Test func `a full realtime inbox keeps the newest of each subject and counts what it drops`() throws {
    var inbox = RealtimeInbox(bounds: InboxBounds(count: 2))
    func offer(_ sequence: UInt64, _ subject: Subject) throws -> [String] {
      let record = try record("a", .realtime, sequence, type: "load.Signal", subject: subject)
      return inbox.offer(Delivery(record)).flatMap { ["\($0.delivery.header.sequence)", $0.cause.rawValue] }
    }
    #expect(try offer(1, "one") == [])
    #expect(try offer(2, "two") == [])
    #expect(try offer(3, "two") == ["2", "replaced"])
    #expect(inbox.count == 2)
    #expect(try offer(4, "three") == ["1", "inbox full"])
    #expect(inbox.take(upTo: 9).map(\.header.sequence) == [3, 4])
    #expect(inbox.count == 0)
  }

  @Test func `whatever is offered to a realtime inbox, what it gives of a subject is its newest, in order`()
    throws
  {
    for seed in seeds(100) {
      var random = SeededGenerator(seed: seed)
      func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
      let bound = 1 + below(20)
      var inbox = RealtimeInbox(bounds: InboxBounds(count: bound))
      let subjects: [Subject] = ["a", "b", "c", "d"]
      var (sequence, dropped, newest): (UInt64, Int, [Subject: UInt64]) = (0, 0, [:])
      var got: [(subject: Subject, sequence: UInt64)] = []
      func take(_ count: Int) {
        for delivery in inbox.take(upTo: count) {
          got += (delivery.records ?? []).map { ($0.subject, $0.sequence) }
        }
      }
      for _ in 0..<40 {
        let records = try (0...below(8)).map { _ in
          sequence += 1
          let subject = subjects[below(4)]
          newest[subject] = sequence
          return try record("a", .realtime, sequence, type: "load.Signal", subject: subject)
        }
        dropped += inbox.offer(Delivery(records[...], position: nil, hops: 0))
          .reduce(0) { $0 + $1.delivery.count }
        #expect(inbox.count <= bound, "HYPHA_SEED=\(seed)")
        if below(4) == 0 { take(1 + below(5)) }
      }
      take(.max)
      #expect(got.count + dropped == Int(sequence), "HYPHA_SEED=\(seed)")
      #expect(got.map(\.sequence) == got.map(\.sequence).sorted(), "HYPHA_SEED=\(seed)")
      guard bound >= subjects.count else { continue }
      for (subject, sequence) in newest {
        #expect(got.last { $0.subject == subject }?.sequence == sequence, "HYPHA_SEED=\(seed)")
      }
    }
  }

  @Test func `a realtime event past its time to live is counted and not delivered`() throws {
    var inbox = RealtimeInbox()
    for sequence in 1...3 as ClosedRange<UInt64> {
      let record = try record("a", .realtime, sequence, type: "load.Signal")
      _ = inbox.offer(Delivery(record, expiresAt: Timestamp(microseconds: 10 * sequence)))
    }
    let (fresh, expired) = RealtimeInbox.parted(inbox.take(upTo: 9), at: Timestamp(microseconds: 20))
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
    #expect(work?.alerts.map(\.header.channel) == [.alert])
    #expect(work?.deliveries.map(\.header.channel) == [.realtime, .persistent])
    #expect(mailbox.backlog == 1, "what the agent has in hand counts until it asks again")
    mailbox.stop()
    #expect(await mailbox.next(upTo: 10) { .zero } == nil)
  }
}
