import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaReplay

/// What exports put together at their end is whole, however little of it is held.
@Suite struct SpillTests {
  private static let small = Spill.Limits(partByteCountMax: 4_096, bufferByteCountMax: 1_024, nameCountMax: 5)

  @Test(arguments: [1, 3, 16])
  func `each key has its fragments in their order, however often a part is divided`(partCount: Int) throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    var random = SeededGenerator(seed: seed)
    let spill = Spill(partCount: partCount, in: NSTemporaryDirectory(), limits: Self.small)
    var (heads, others): ([Spill.Key: [String]], [Spill.Key: [String]]) = ([:], [:])
    for number in 0..<3_000 {
      // One of them is larger than a part may be, and some have one fragment.
      let isHuge = Int.random(in: 0..<3, using: &random) == 0
      let chosen = isHuge ? 0 : Int.random(in: 1..<300, using: &random)
      let isTrace = chosen.isMultiple(of: 3)
      let key = Spill.Key(name: isTrace ? "t" : "key \(chosen)", trace: isTrace ? UInt64(chosen) : nil)
      let isHead = Int.random(in: 0..<10, using: &random) == 0
      let fragment = String(repeating: "x", count: .random(in: 0..<40, using: &random)) + "\(number)"
      try spill.add(key, part: isTrace ? chosen * partCount / 300 : nil, isHead: isHead, Array(fragment.utf8))
      if isHead {
        heads[key, default: []].append(fragment)
      } else {
        others[key, default: []].append(fragment)
      }
    }
    #expect(spill.fragmentCount == 3_000)
    var (seen, open): ([Spill.Key], Spill.Key?) = ([], nil)
    var (foundHeads, found): ([String], [String]) = ([], [])
    var steps: [Int] = []
    var pace = FinishPace { done, _ in steps.append(done) }
    try spill.visit(&pace) { step in
      switch step {
      case .begin(let key, let hasHeads):
        #expect(open == nil && hasHeads == (heads[key] != nil), "seed \(seed)")
        (open, foundHeads, found) = (key, [], [])
        seen.append(key)
      case .head(let bytes):
        #expect(found.isEmpty)
        foundHeads.append(String(decoding: bytes, as: UTF8.self))
      case .fragment(let bytes): found.append(String(decoding: bytes, as: UTF8.self))
      case .end(let key):
        #expect(open == key && foundHeads == heads[key] ?? [] && found == others[key] ?? [], "seed \(seed)")
        open = nil
      }
    }
    #expect(seen.count == Set(seen).count && Set(seen) == Set(heads.keys).union(others.keys), "seed \(seed)")
    #expect(steps == steps.sorted() && steps.last ?? 0 > 4_000)
  }

  @Test func `traces keep their order through parts that are divided`() throws {
    let spill = Spill(partCount: 2, in: NSTemporaryDirectory(), limits: Self.small)
    for trace in 0..<400 {
      let key = Spill.Key(name: "t", trace: UInt64(trace))
      for _ in 0..<3 { try spill.add(key, part: trace / 200, Array(repeating: 0, count: 50)) }
    }
    var traces: [UInt64?] = []
    var pace = FinishPace { _, _ in }
    try spill.visit(&pace) { if case .begin(let key, _) = $0 { traces.append(key.trace) } }
    #expect(traces == (0..<400).map { UInt64($0) })
  }

  /// What an encoder writes of some logs, line by line and without what stands between lines.
  private func lines(_ encoder: any ExportEncoder, _ logs: [any LogReader]) throws -> [String] {
    var bytes: [UInt8] = []
    var (encoder, sink) = (encoder, ExportSink { bytes += $0 })
    try encoder.begin(&sink)
    var replay = try Replay(of: logs)
    try replay.look()
    try replay.visit {
      try encoder.add($0, &sink)
      return true
    }
    var pace = FinishPace { _, _ in }
    try encoder.finish(&sink, &pace)
    try sink.flush()
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      .map { String($0.last == "," ? $0.dropLast() : $0) }
  }

  @Test func `an export says the same however little it holds`() async throws {
    let seed = SeededGenerator.seed
    print("HYPHA_SEED=\(seed)")
    let world = try World(seed: seed, nodeCount: 3)
    try await world.run(eventCount: 400)
    let directory = NSTemporaryDirectory()
    func encoders(_ limits: Spill.Limits) -> [any ExportEncoder] {
      [
        XESEncoder(expectedCount: 1, spillDirectory: directory, limits: limits),
        OCELEncoder(expectedCount: 1, spillDirectory: directory, limits: limits),
        GraphMLEncoder(expectedCount: 1, spillDirectory: directory, limits: limits),
      ]
    }
    for (usual, small) in zip(encoders(.init()), encoders(Self.small)) {
      let expected = try lines(usual, world.logs)
      let found = try lines(small, world.logs)
      #expect(found.sorted() == expected.sorted() && expected.count > 20, "\(type(of: usual)), seed \(seed)")
    }
  }

  @Test func `a directory in which no file can be made is named when one is needed`() throws {
    let spill = Spill(partCount: 1, in: "/nix/nix", limits: Self.small)
    try spill.add(Spill.Key(name: "a"), Array("b".utf8))
    expectError(.fileUnavailable, "no file can be made in /nix/nix", "directory that can be written") {
      for _ in 0..<100 { try spill.add(Spill.Key(name: "a"), Array(repeating: 0, count: 100)) }
    }
  }
}
