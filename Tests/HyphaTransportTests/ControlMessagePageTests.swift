import Foundation
import HyphaCore
import HyphaTransport
import Testing

/// The control messages in `docs/wire-format.md` are what the code encodes.
@Suite struct ControlMessagePageTests {
  @Test func `the page has an example of each kind, and each is what the code encodes`() throws {
    let examples = try Self.examples()
    let record = try Record(decoding: try #require(examples["record"]))
    let lane = Lane(agent: "ana", channel: .persistent, target: .type("invoice.Approved"))
    let log = try EventID("01932f6e-0000-7000-8000-000000000001")
    let (before, end) = (LanePoint(epoch: 2, sequence: 5), LanePoint(epoch: 2, sequence: 7))
    let messages: [(name: String, message: ControlMessage)] = [
      (
        "hello",
        .hello(
          Greeting(
            node: "hq", versions: 1...2, program: "0.1.0", topologyVersion: 3,
            topologyHash: 0x0123_4567_89AB_CDEF))
      ),
      ("welcome", .welcome(node: "ops", version: 1, program: "0.1.0", topologyVersion: 3)),
      ("refused", .refused(.topology, reason: "another topology")),
      ("sync", .sync(log: log, since: 40)),
      ("heads", .heads(log: log, through: 42, heads: [.init(lane: lane, point: end)])),
      ("fetch", .fetch(lane: lane, after: before)),
      ("records", .records(lane: lane, after: before, records: [record])),
      ("vouch", .vouch(runs: [LaneRun(lane: lane, after: before, through: end)])),
      (
        "vouched",
        .vouched(
          RunVoucher(
            origin: "hq",
            entries: [
              .init(
                run: LaneRun(lane: lane, after: before, through: end),
                verdict: .digest([UInt8](0x10..<0x30)))
            ], sign: { _ in [UInt8](0x40..<0x80) }))
      ),
      ("goodbye", .goodbye), ("copies", .copies(of: "hq", log: log, since: 40)),
      ("copied", .copied(of: "hq", log: log, through: 42, heads: [.init(lane: lane, point: end)])),
      (
        "incarnation",
        .incarnation(
          Incarnation(node: "hq", epoch: 1_767_225_600_000, id: log) { _ in [UInt8](0x40..<0x80) })
      ),
    ]
    for (name, message) in messages {
      let example = try #require(examples["control-\(name)"], "\(name)")
      #expect(Self.hex(example) == Self.hex(message.encoded()), "\(name)")
      #expect(try ControlMessage(decoding: example) == message)
    }
    #expect(examples.keys.filter { $0.hasPrefix("control-") }.count == messages.count)
  }

  /// The bytes of each block that begins with "```hex NAME". `#` begins a comment, `@NAME` stands for the
  /// bytes of a block above.
  private static func examples() throws -> [String: [UInt8]] {
    var directory = URL(filePath: #filePath)
    repeat {
      directory.deleteLastPathComponent()
    } while directory.path != "/"
      && !FileManager.default.fileExists(atPath: directory.appending(path: "docs/wire-format.md").path)
    let page = try String(contentsOf: directory.appending(path: "docs/wire-format.md"), encoding: .utf8)
    var examples: [String: [UInt8]] = [:]
    for block in page.components(separatedBy: "```hex ").dropFirst() {
      var lines = block.components(separatedBy: "```")[0].split(separator: "\n")
      let name = String(lines.removeFirst())
      examples[name] = lines.flatMap { line -> [UInt8] in
        line.prefix { $0 != "#" }.split(separator: " ").flatMap { word in
          word.hasPrefix("@") ? examples[String(word.dropFirst())] ?? [] : [UInt8(word, radix: 16) ?? 0]
        }
      }
    }
    return examples
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}
