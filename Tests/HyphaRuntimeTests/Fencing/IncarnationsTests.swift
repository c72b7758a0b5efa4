import HyphaCore
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// Which incarnation of a node goes on.
@Suite struct IncarnationsTests {
  private func incarnation(_ node: NodeID, _ epoch: UInt64, _ id: UInt64 = 0) -> Incarnation {
    Incarnation(node: node, epoch: epoch, id: EventID(high: epoch, low: id), sign: nil)
  }

  @Test func `the newest that was heard of stays, and who is older is told of it`() {
    var known = Incarnations()
    #expect(known.heard(incarnation("x", 5), from: "x") { _ in true } == .new)
    #expect(known.heard(incarnation("x", 5), from: "x") { _ in true } == .known)
    #expect(known.heard(incarnation("x", 4), from: "x") { _ in true } == .older(than: incarnation("x", 5)))
    // In one millisecond, or on copies of a log whose clock was set back.
    #expect(known.heard(incarnation("x", 5, 1), from: "x") { _ in true } == .new)
    #expect(known.heard(incarnation("x", 5), from: "x") { _ in true } == .older(than: incarnation("x", 5, 1)))
    #expect(known.newest["x"] == incarnation("x", 5, 1))
  }

  @Test func `nobody speaks for another node, nor without its signature`() {
    var known = Incarnations()
    known.begin(incarnation("x", 5))
    #expect(known.heard(incarnation("y", 9), from: "z") { _ in true } == .refused)
    #expect(known.heard(incarnation("y", 9), from: "y") { _ in false } == .refused)
    #expect(known.heard(incarnation("x", 9), from: "x") { _ in true } == .refused)
    #expect(known.newest == ["x": incarnation("x", 5)])
    #expect(!known.told(incarnation("x", 9)) { _ in false })
    #expect(!known.told(incarnation("y", 9)) { _ in true })
    #expect(known.superseder == nil)
  }

  @Test func `a node is superseded by a newer one of itself, once and for good`() {
    var known = Incarnations()
    #expect(!known.told(incarnation("x", 6)) { _ in true })
    known.begin(incarnation("x", 5))
    _ = known.heard(incarnation("y", 3), from: "y") { _ in true }
    let due = known.due(now: Timestamp(microseconds: 1), for: ["y", "z"])
    #expect(due.map(\.0) == ["y", "y", "z"])
    #expect(due.map(\.1) == [incarnation("x", 5), incarnation("y", 3), incarnation("x", 5)])
    #expect(known.due(now: Timestamp(microseconds: 1_000_000), for: ["y"]).isEmpty)
    for older in [incarnation("x", 4), incarnation("x", 5)] { #expect(!known.told(older) { _ in true }) }
    #expect(known.told(incarnation("x", 6)) { _ in true })
    #expect(!known.told(incarnation("x", 7)) { _ in true })
    #expect(known.superseder == incarnation("x", 6))
    #expect(known.due(now: Timestamp(microseconds: 9_000_000), for: ["y"]).isEmpty)
  }

  @Test func `what a log has kept is there again`() throws {
    var known = Incarnations()
    known.begin(incarnation("x", 5))
    _ = known.heard(incarnation("y", 9, 3), from: "y") { _ in true }
    #expect(Incarnations(decoding: try known.snapshot).newest == known.newest)
    #expect(Incarnations(decoding: nil).newest.isEmpty && Incarnations(decoding: [1]).newest.isEmpty)
  }

  /// Every order in which three incarnations of a node and two others can speak, at random.
  @Test func `of any number the newest is left`() {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed, name: "incarnations")
      let all = (0..<4).map { incarnation("x", 1 + random.next() % 3, UInt64($0)) }
      var own = all.map { incarnation in
        var known = Incarnations()
        known.begin(incarnation)
        return known
      }
      var others = [Incarnations(), Incarnations()]
      for _ in 0..<200 {
        let (speaker, hearer) = (Int(random.next() % 4), Int(random.next() % 2))
        guard own[speaker].superseder == nil, let said = own[speaker].own else { continue }
        guard case .older(let newest) = others[hearer].heard(said, from: "x", isSigned: { _ in true }) else {
          continue
        }
        // The answer may come to any of them.
        _ = own[Int(random.next() % 4)].told(newest) { _ in true }
      }
      let left = own.filter { $0.superseder == nil }.compactMap(\.own)
      #expect(left == [all.max()].compactMap(\.self), "seed \(seed)")
    }
  }
}
