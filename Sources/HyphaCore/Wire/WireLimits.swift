/// The sizes that bytes from outside may claim before anything is allocated for them.
public struct WireLimits: Hashable, Sendable {
  /// The largest payload of one event, in bytes.
  public var payloadByteCountMax: Int
  /// The most records in one frame.
  public var frameRecordCountMax: Int
  /// The largest frame or control message, in bytes.
  public var frameByteCountMax: Int

  /// One MiB a payload, 256 records and 4 MiB a frame.
  public static let standard = WireLimits(
    payloadByteCountMax: 1 << 20, frameRecordCountMax: 256, frameByteCountMax: 4 << 20)

  /// Limits by their parts.
  public init(payloadByteCountMax: Int, frameRecordCountMax: Int, frameByteCountMax: Int) {
    self.payloadByteCountMax = payloadByteCountMax
    self.frameRecordCountMax = frameRecordCountMax
    self.frameByteCountMax = frameByteCountMax
  }
}
