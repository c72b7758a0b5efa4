import HyphaCore
import Testing

@testable import HyphaReplay

/// What is taken for a copy, and what is not.
@Suite struct AppearancesTests {
  private func record(_ sequence: UInt64, of origin: UInt64) throws -> Record {
    let id = EventID(high: origin, low: sequence)
    return try Record(
      RecordHeader(
        id: id, time: Timestamp(microseconds: sequence), channel: .persistent, agent: "ana", epoch: 1,
        sequence: sequence, previous: .start, addressee: nil, type: "T", subject: "s", contentType: .bytes,
        correlation: id, authority: Authority(principal: "ana")),
      payload: [])
  }

  /// Which of the entries are shown: log, whether it is stated there, sequence, origin.
  private func shown(_ entries: [(log: Int, isStated: Bool, sequence: UInt64, origin: UInt64)]) throws
    -> [Bool]
  {
    var appearances = Appearances()
    return try entries.map { entry in
      let record = try record(entry.sequence, of: entry.origin)
      return try record.withBytes {
        try appearances.isFirst(RecordView(checking: $0), in: entry.log, isStated: entry.isStated)
      }
    }
  }

  @Test func `copies come once, whether they are on time, late, or before what was stated`() throws {
    #expect(
      try shown([
        (0, true, 1, 7), (1, false, 1, 7), (0, true, 2, 7), (0, true, 3, 7), (2, false, 3, 7),
        (1, false, 2, 7),
        (1, false, 3, 7), (1, false, 4, 7), (0, true, 4, 7),
      ]) == [true, false, true, true, false, false, false, true, false])
  }

  @Test func `what two nodes have stated is two events`() throws {
    #expect(
      try shown([(0, true, 1, 7), (1, true, 1, 8), (0, true, 2, 7), (1, true, 2, 8), (2, false, 2, 8)])
        == [true, true, true, true, false])
  }

  @Test func `recordings under one name are told apart, at the same times and at others`() throws {
    let same = try shown((1...50).flatMap { [(0, false, $0, 7), (1, false, $0, 8)] })
    #expect(same.allSatisfy { $0 })
    let later = try shown((1...50).map { (0, false, $0, 7) } + (1...60).map { (1, false, $0, 8) })
    #expect(later.allSatisfy { $0 })
    // A copy of one of them stays a copy.
    let third = try shown(
      (1...50).flatMap { [(0, false, $0, 7), (1, false, $0, 8), (2, false, $0, 8)] })
    #expect(third == (1...50).flatMap { _ in [true, true, false] })
  }
}
