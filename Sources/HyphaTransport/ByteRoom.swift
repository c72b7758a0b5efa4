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
    let before = taken.wrappingAdd(byteCount, ordering: .relaxed).oldValue
    guard before + byteCount > byteCountMax else { return true }
    giveBack(byteCount)
    return false
  }

  /// Gives back what was taken.
  public func giveBack(_ byteCount: Int) { taken.wrappingSubtract(byteCount, ordering: .relaxed) }
}
