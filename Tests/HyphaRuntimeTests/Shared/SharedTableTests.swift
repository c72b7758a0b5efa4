import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// The table of shared values, without a node.
@Suite struct SharedTableTests {
  private func value(
    _ agent: AgentID, _ sequence: UInt64, epoch: UInt64 = 1, about subject: Subject = "s",
    type: EventTypeName = "test.Board", to addressee: AgentID? = nil, byteCount: Int = 2
  ) throws -> Record {
    try record(
      agent, .persistent, sequence, epoch: epoch, to: addressee, type: type, subject: subject,
      byteCount: byteCount)
  }

  private func versions(
    _ table: SharedTable, _ wanted: SharedQuery.Wanted, where isForReader: (Record) -> Bool = { _ in true }
  ) -> [String] {
    table.find(SharedQuery(type: "test.Board", wanted: wanted), where: isForReader)
      .map { "\($0.record.agent) \($0.record.subject) \($0.record.point)" }
  }

  @Test func `the newest version of each key is kept, whatever comes first`() throws {
    var table = SharedTable(of: ["test.Board"])
    #expect(table.take(try value("a", 2), at: Position(rawValue: 1)))
    #expect(!table.take(try value("a", 1), at: Position(rawValue: 2)))
    #expect(!table.take(try value("a", 2), at: Position(rawValue: 3)), "the same once more")
    #expect(table.take(try value("a", 1, epoch: 2), at: Position(rawValue: 4)), "a later epoch is newer")
    #expect(!table.take(try value("a", 9), at: Position(rawValue: 5)))
    #expect(table.take(try value("a", 3, about: "t"), at: Position(rawValue: 6)))
    #expect(table.take(try value("b", 1), at: Position(rawValue: 7)))
    #expect(versions(table, .all) == ["a s 2:1", "a t 1:3", "b s 1:1"])
    #expect(table.all.map(\.position.rawValue) == [4, 6, 7] && table.count == 3)
  }

  @Test func `what is wanted is found, and nothing that is not for the reader`() throws {
    var table = SharedTable(of: ["test.Board"])
    for (index, subject) in (["t", "s", "r"] as [Subject]).enumerated() {
      table.take(try value("a", UInt64(index + 1), about: subject), at: Position(rawValue: UInt64(index + 1)))
    }
    #expect(versions(table, .one("a", "s")) == ["a s 1:2"])
    #expect(versions(table, .one("a", nil)) == ["a r 1:3"], "the newest of the agent's")
    #expect(versions(table, .one("a", nil)) { $0.subject != "r" } == ["a s 1:2"])
    #expect(versions(table, .one("a", "u")).isEmpty && versions(table, .one("b", nil)).isEmpty)
    #expect(versions(table, .one("a", "s")) { $0.subject != "s" }.isEmpty)
    #expect(versions(table, .all) { $0.subject == "t" } == ["a t 1:1"])
  }

  @Test func `only persistent events to nobody of types that are read count`() throws {
    var table = SharedTable(of: ["test.Board"])
    #expect(!table.take(try value("a", 1, type: "test.Other"), at: Position(rawValue: 1)))
    #expect(!table.take(try value("a", 1, to: "b"), at: Position(rawValue: 2)))
    #expect(!table.take(try record("a", .alert, 1, type: "test.Board"), at: Position(rawValue: 3)))
    #expect(table.count == 0 && table.byteCount == 0)
  }

  @Test func `where there are too many, those go that were stated longest ago`() throws {
    var table = SharedTable(of: ["test.Board"], limits: .init(valueCount: 32, byteCount: 1 << 20))
    for number in 1...33 as ClosedRange<UInt64> {
      table.take(try value("a", number, about: Subject(slug: "s.\(number)")), at: Position(rawValue: number))
    }
    #expect(table.count == 30 && table.droppedCount == 3)
    #expect(versions(table, .one("a", "s.3")).isEmpty && !versions(table, .one("a", "s.4")).isEmpty)
    // It is shared again with its next version.
    table.take(try value("a", 34, about: "s.1"), at: Position(rawValue: 34))
    #expect(versions(table, .one("a", "s.1")) == ["a s.1 1:34"])
  }

  @Test func `bytes are bounded, and those of a value that is replaced are free again`() throws {
    let byteCount = try value("a", 1, byteCount: 1_000).byteCount
    var table = SharedTable(of: ["test.Board"], limits: .init(valueCount: 1_000, byteCount: byteCount * 16))
    for number in 1...100 as ClosedRange<UInt64> {
      table.take(try value("a", number, byteCount: 1_000), at: Position(rawValue: number))
    }
    #expect(table.count == 1 && table.byteCount == byteCount && table.droppedCount == 0)
    for number in 101...140 as ClosedRange<UInt64> {
      let subject = Subject(slug: "s.\(number)")
      table.take(try value("a", number, about: subject, byteCount: 1_000), at: Position(rawValue: number))
      #expect(table.byteCount <= byteCount * 17)
    }
    #expect(table.all.reduce(0) { $0 + $1.record.byteCount } == table.byteCount)
    #expect(!versions(table, .one("a", "s.140")).isEmpty && versions(table, .one("a", "s.101")).isEmpty)
  }
}
