import HyphaCore
import Testing

/// The generator that simulations and synthetic load take their chances from.
@Suite struct SeededGeneratorTests {
  @Test func `the first outputs are those of the published SplitMix64`() {
    // Vigna's splitmix64.c with the states 0 and 1234567.
    var zero = SeededGenerator(seed: 0)
    #expect(
      (0..<4).map { _ in zero.next() } == [
        0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F, 0xF88B_B8A8_724C_81EC,
      ])
    var other = SeededGenerator(seed: 1_234_567)
    #expect(
      (0..<5).map { _ in other.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }

  @Test func `a name gives a sequence of its own, the same in every process`() {
    var ana = SeededGenerator(seed: 42, name: "ana")
    var again = SeededGenerator(seed: 42, name: "ana")
    var bob = SeededGenerator(seed: 42, name: "bob")
    let first = ana.next()
    #expect(first == again.next())
    #expect(first != bob.next())
    #expect(SeededGenerator.fingerprint(of: "ana") == SeededGenerator.fingerprint(of: "ana"))
    // FNV-1a of the empty text is its offset basis.
    var unnamed = SeededGenerator(seed: 0, name: "")
    var basis = SeededGenerator(seed: 0xCBF2_9CE4_8422_2325)
    #expect(unnamed.next() == basis.next())
  }

  @Test(arguments: [0.01, 0.25, 0.5, 0.9])
  func `a chance comes true in about its share of the calls`(_ share: Double) {
    var random = SeededGenerator(seed: 7)
    let count = 100_000
    let hits = (0..<count).count { _ in random.chance(share) }
    #expect(abs(Double(hits) / Double(count) - share) < 0.01)
  }

  @Test func `a chance of nothing never comes true, and one of everything always`() {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<10_000 {
      #expect(random.chance(0) == false)
      #expect(random.chance(-1) == false)
      #expect(random.chance(.nan) == false)
      #expect(random.chance(1) == true)
    }
  }

  @Test func `durations fall within their range, both ends included`() {
    var random = seededRandom()
    var seen: Set<Duration> = []
    for _ in 0..<2_000 { seen.insert(random.duration(in: .microseconds(3)...(.microseconds(6)))) }
    #expect(seen == Set((3...6).map { Duration.microseconds($0) }))
    #expect(random.duration(in: .seconds(2)...(.seconds(2))) == .seconds(2))
    #expect(random.duration(in: .seconds(-2)...(.seconds(-1))) == .zero)
  }

  @Test func `ranges without bounds do not trap`() {
    var random = seededRandom()
    for _ in 0..<100 {
      #expect(random.duration(in: .seconds(Int64.min)...(.seconds(Int64.max))) >= .zero)
    }
  }

  @Test func `whole microseconds are rounded down, not negative, and bounded`() {
    #expect(Duration.nanoseconds(1_999).wholeMicroseconds == 1)
    #expect(Duration.seconds(2).wholeMicroseconds == 2_000_000)
    #expect(Duration.nanoseconds(-1).wholeMicroseconds == 0)
    #expect(Duration.seconds(Int64.max).wholeMicroseconds == UInt64(Int64.max))
    #expect(Duration.seconds(Int64.max / 1_000_000 - 1).wholeMicroseconds < UInt64(Int64.max))
  }
}
