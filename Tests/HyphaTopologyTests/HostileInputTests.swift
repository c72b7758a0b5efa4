import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

@Suite struct `A damaged topology file` {
  /// Some of `bytes` replaced, removed, repeated or moved, or given pieces that mean much to YAML.
  private func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    let pieces = [
      "\n", "  ", "\t", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!str ", "\"", "'", "#", "|\n", "---\n",
      "...\n", "? ", ",",
      "null", "~", "\u{0}", "\u{FEFF}", "%YAML 1.1\n", "9999999999999999999999", "\\", ">", "reports-to: ana",
      "hypha: 1\n",
    ]
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let place = Int.random(in: 0...bytes.count, using: &random)
      let end = min(bytes.count, place + Int.random(in: 0...20, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes.removeSubrange(place..<end)
      case 1:
        bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
      case 2 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 3 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 4: bytes.removeSubrange(place...)
      default: bytes.insert(contentsOf: pieces.randomElement(using: &random)!.utf8, at: place)
      }
    }
    return bytes
  }

  @Test func `gives a valid topology or says what is wrong with it, and never stops the program`() throws {
    let original = Array(incidentRoom.utf8)
    var validCount = 0
    for seed in seeds(10_000) {
      var random = SeededGenerator(seed: seed)
      do throws(TopologyDiagnostics) {
        let file = try TopologyFile.read(yaml: mutated(original, &random), file: "f")
        _ = file.problems(kindNames: ["trace"]) { $0 == "trace" ? KindDeclaration() : nil }
        let text = try? TopologyWriter.text(file.topology, kinds: file.kinds)
        let again = text.flatMap { try? TopologyFile.read(yaml: $0, file: "f") }
        #expect(again?.topology == file.topology, "seed \(seed)")
        validCount += 1
      } catch {
        #expect(!error.diagnostics.isEmpty, "seed \(seed)")
        #expect(error.diagnostics.allSatisfy { $0.line > 0 && $0.column > 0 }, "seed \(seed)")
        #expect(error.diagnostics.allSatisfy { !$0.description.contains("\n") }, "seed \(seed)")
      }
    }
    // Both ways must have been gone, unless one seed was asked for.
    #expect(seeds(10_000).count == 1 || (500...9500).contains(validCount), "\(validCount) were valid")
  }

  @Test func `of random bytes is refused`() {
    for seed in seeds(1000) {
      var random = SeededGenerator(seed: seed)
      let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      #expect(throws: TopologyDiagnostics.self, "seed \(seed)") {
        try TopologyFile.read(yaml: bytes, file: "f")
      }
    }
  }

  @Test func `of great size is read or refused in time`() {
    // 20,000 agents, upside down: in a chain, in a circle, and each below one that does not exist.
    let count = 20_000
    let head = "hypha: 1\nname: n\nnodes: {m: {}, o: {}}\nagents:\n  a0: {kind: k, node: m}\n"
    let chain = (1..<count).reversed().map { "  a\($0): {kind: k, reports-to: a\($0 - 1)}\n" }.joined()
    let circle = chain.replacing("reports-to: a0}", with: "reports-to: a\(count - 1)}")
    #expect(problems(head + chain) == [])
    #expect(problems(head + circle).count == 1)
    #expect(problems(head + chain.replacing("reports-to: a", with: "reports-to: b")).count == 1001)
  }
}
