import Synchronization

/// Room for so many bytes, which several take parts of and give back. Any thread.
public final class ByteRoom: Sendable {
  private let byteCountMax: Int
  private let taken = Atomic<Int>(0)

  /// Room for `byteCountMax` bytes.
  public init(_ byteCountMax: Int) { self.byteCountMax = byteCountMax }

  /// How many bytes are taken.
  public var takenByteCount: Int { taken.load(ordering: .relaxed) }

  /// Takes room for `byteCount` bytes. Returns whether there was so much.
  public func take(_ byteCount: Int) -> Bool {
    var before = takenByteCount
    while before + byteCount <= byteCountMax {
      let (isTaken, now) = taken.compareExchange(
        expected: before, desired: before + byteCount, ordering: .relaxed)
      if isTaken { return true }
      before = now
    }
    return false
  }

  /// Gives back what was taken.
  public func giveBack(_ byteCount: Int) { taken.wrappingSubtract(byteCount, ordering: .relaxed) }
}
