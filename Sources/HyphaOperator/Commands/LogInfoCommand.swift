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
    // A stream of which the first entry was stated here was stated here as a whole.
    let stated = try heads.streams.values.reduce(UInt64(0)) { sum, stream in
      try log.entry(at: stream.position)?.source == .stated ? sum + stream.count : sum
    }
    table.add([
      .string(log.identity.node.text),
      .integer(Int(heads.position.rawValue) - gaps.reduce(0) { $0 + $1.count }), .integer(Int(stated)),
      .integer(heads.streams.count), .integer(heads.lanes.count), .integer(try log.cursors().count),
      try log.indexStatus().map { .integer(Int($0.lagCount)) } ?? .none,
      .integer(pruned), .integer(Set(readers.map(\.process)).count), .bytes(Self.byteCountOnDisk(path)),
      .optional(try Self.time(after: .start, log)),
      .optional(try Self.time(after: Position(rawValue: max(heads.position.rawValue, 1) - 1), log)),
    ])
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

extension LogGap {
  /// How many entries are gone.
  fileprivate var count: Int { Int(range.upperBound.rawValue - range.lowerBound.rawValue) + 1 }
}
