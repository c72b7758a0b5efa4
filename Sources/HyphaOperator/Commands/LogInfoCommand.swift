import Foundation
import HyphaCore
import HyphaLog

/// `hypha log info`: what each log holds.
struct LogInfoCommand: Command {
  static let configuration = CommandConfiguration(
    name: "info", abstract: "Say what the logs in a directory hold.",
    examples: ["hypha log info data/incident-room", "hypha log info data/incident-room/hq --format json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(help: "How to print.") var format: TableFormat = .table
  @Flag(help: "Print as JSON; short for --format json.") var json = false

  func run() async throws {
    var table = Table([
      .init("node"), .init("entries", alignment: .right),
      .init("stated here", key: "stated", alignment: .right),
      .init("streams", alignment: .right), .init("lanes", alignment: .right),
      .init("consumers", alignment: .right),
      .init("index lag", key: "indexLag", alignment: .right),
      .init("pruned", alignment: .right), .init("readers", alignment: .right),
      .init("on disk", key: "bytesOnDisk", alignment: .right),
      .init("first"), .init("last"),
    ])
    let paths = try DataPlaces.logs(in: data)
    var failures: [HyphaError] = []
    for path in paths {
      do { try add(path, to: &table) } catch let error as HyphaError { failures.append(error) }
    }
    if failures.count < paths.count { try table.write(as: json ? .json : format) }
    // One log that cannot be read does not hide the others.
    for failure in failures.dropLast() { try Output.standardError.writeLine(failure.description) }
    if let failure = failures.last { throw failure }
  }

  private func add(_ path: String, to table: inout Table) throws {
    let log = try Program.require().readLog(path)
    // The node may be writing: what is added up must be of one moment.
    let heads = try log.heads()
    let gaps = try log.gaps()
    let pruned = gaps.filter { $0.kind == .pruned }.reduce(0) { $0 + $1.count }
    let readers = try Program.require().retention.readers(of: path).filter { $0.process != getpid() }
    let stated = try StatedCount(heads, in: log)
    table.add([
      .string(log.identity.node.text),
      .integer(Int(heads.position.rawValue) - gaps.reduce(0) { $0 + $1.count }),
      stated.count.map { .integer(Int(clamping: $0)) } ?? .none,
      .integer(heads.streams.count), .integer(heads.lanes.count),
      .integer(try log.cursors().values.count { $0.handledCount > 0 }),
      try log.indexStatus().map { .integer(Int($0.lagCount)) } ?? .none,
      .integer(pruned), .integer(Set(readers.map(\.process)).count), .bytes(Self.byteCountOnDisk(path)),
      .optional(try Self.time(after: .start, log)),
      .optional(try Self.time(after: Position(rawValue: max(heads.position.rawValue, 1) - 1), log)),
    ])
    let loose = try Program.require().retention.loosePayloads(of: path)
    if loose.count > 0 {
      let payloads = loose.count == 1 ? "1 payload" : "\(Human.count(UInt64(loose.count))) payloads"
      try Output.standardError.writeLine(
        "\(path): \(payloads) beside the log (\(Human.bytes(loose.byteCount))) \(loose.count == 1 ? "belongs" : "belong") to no "
          + "event of it; the next prune removes what no commit under way refers to")
    }
    for reader in readers where reader.lag > Self.lagMax {
      try Output.standardError.writeLine(
        "\(path): process \(reader.process) looks at a view that is \(Human.count(reader.lag)) commits old; "
          + "until it lets go, the file grows with everything that is appended")
    }
  }

  /// A reader that is further behind is named.
  private static let lagMax: UInt64 = 10_000

  /// When the first entry after a position was taken.
  private static func time(after position: Position, _ log: any LogReader) throws -> String? {
    try log.read(after: position, limit: 1, byteLimit: 0).first?.appendedAt.text
  }

  private static func byteCountOnDisk(_ path: String) -> Int {
    let attributes = try? FileManager.default.attributesOfItem(atPath: "\(path)/log/data.mdb")
    return (attributes?[.size] as? Int) ?? 0
  }
}

/// How many events of a log its node's own agents have stated, those that were pruned among them.
struct StatedCount {
  /// Nil where nothing is left of some agent that would tell.
  private(set) var count: UInt64? = 0

  /// An agent is of one node: what is left of any of its streams tells of all of them.
  init(_ heads: LogHeads, in log: any LogReader) throws {
    for streams in Dictionary(grouping: heads.streams, by: \.key.agent).values {
      let newest = streams.map(\.value.position).sorted(by: >)
      // A position that was quarantined tells nothing either.
      let source = newest.lazy.compactMap { try? log.entry(at: $0)?.source }.first
      switch source {
      case .stated?: count = count.map { sum in streams.reduce(sum) { $0 + $1.value.count } }
      case .received?: break
      case nil: count = nil
      }
    }
  }
}

extension LogGap {
  /// How many entries are gone.
  fileprivate var count: Int { Int(range.upperBound.rawValue - range.lowerBound.rawValue) + 1 }
}
