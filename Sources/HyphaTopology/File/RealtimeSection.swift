import HyphaCore

/// How many realtime events an agent may send: a bucket of `burst` that gets `perSecond` a second. What is beyond is dropped
/// and counted, at its own node; other nodes take at most twice as much of it.
public struct RealtimeLimit: Sendable, Hashable {
  /// Events a second, 1 to 100,000,000.
  public var perSecond: Int
  /// Events at once, 1 to 1,000,000; by default a tenth of a second's, 64 at least.
  public var burst: Int

  static let rates: ClosedRange<Int64> = 1...100_000_000
  static let bursts: ClosedRange<Int64> = 1...1_000_000

  /// A limit; `burst` is as said above where it is nil. What is out of range becomes the nearest that is not.
  public init(perSecond: Int, burst: Int? = nil) {
    self.perSecond = Self.clamp(perSecond, to: Self.rates)
    self.burst = Self.clamp(burst ?? Self.usualBurst(self.perSecond), to: Self.bursts)
  }

  private static func clamp(_ value: Int, to range: ClosedRange<Int64>) -> Int {
    Int(min(max(Int64(value), range.lowerBound), range.upperBound))
  }

  private static func usualBurst(_ perSecond: Int) -> Int {
    min(max(perSecond / 10, 64), Int(bursts.upperBound))
  }

  /// What a section says of it.
  var parts: [String] {
    ["rate: \(perSecond)"] + (burst == Self.usualBurst(perSecond) ? [] : ["burst: \(burst)"])
  }
}

/// The section `realtime` of a topology file, and of an agent in it.
extension TopologyDecoder {
  mutating func decodeRealtime(_ member: Member?, of owner: String) -> RealtimeLimit? {
    guard let member,
      let parts = problems.members(of: member.value, in: owner, at: member.mark, keys: ["rate", "burst"])
    else { return nil }
    guard let rate = parts["rate"] else {
      problems.report(
        member.mark, "\(owner) has no rate",
        remedy: "write how many events a second an agent may send: {rate: 10000}")
      return nil
    }
    let perSecond = problems.integer(of: rate.value, in: "rate of \(owner)", from: RealtimeLimit.rates)
    let burst = parts["burst"].flatMap {
      problems.integer(of: $0.value, in: "burst of \(owner)", from: RealtimeLimit.bursts)
    }
    return perSecond.map { RealtimeLimit(perSecond: Int($0), burst: burst.map { Int($0) }) }
  }
}
