internal import Glibc
public import HyphaCore

extension ZMQTransport {
  /// The bounds and times of a transport. The defaults suit a deployment on one machine or in one network.
  public struct Options: Sendable, Hashable {
    /// Where the Unix-domain sockets of nodes on this machine are; made with mode 0700 where it is missing.
    /// The nodes of one deployment share it. The last of them to stop removes it where nothing else is in it.
    public var runtimeDirectory: String
    /// The largest frame or control message in bytes. What is larger is not sent; a peer that sends it is
    /// disconnected.
    public var messageByteCountMax: Int
    /// The most messages that wait for one peer in libzmq, on either side; what exceeds that is dropped.
    public var highWaterMark: Int
    /// The most frames of one channel, and the most control messages, that wait for their thread.
    public var queueCountMax: Int
    /// The most bytes that so wait.
    public var queueByteCountMax: Int
    /// The most requests that wait for a peer that is not connected.
    public var requestCountMax: Int
    /// How long a request waits for its peer to connect before it is dropped.
    public var requestPatience: Duration
    /// How many requests one node may send in a second, on and on; what exceeds that is dropped unread.
    public var requestRateMax: Int
    /// How many requests one node may send in one go.
    public var requestBurstMax: Int
    /// How long ``ZMQTransport/stop()`` goes on sending what waits.
    public var linger: Duration
    /// The first and the longest wait before a lost connection is tried again.
    public var reconnectInterval: ClosedRange<Duration>
    /// How long a new connection may take to speak ZMTP before it is closed.
    public var handshakeTimeout: Duration
    /// The nice value of the bulk thread and of libzmq's thread behind it, 0 to 19.
    public var bulkNiceValue: Int

    /// Options with defaults for everything but the directory.
    public init(
      runtimeDirectory: String = Options.defaultRuntimeDirectory,
      messageByteCountMax: Int = WireLimits.standard.frameByteCountMax, highWaterMark: Int = 10_000,
      queueCountMax: Int = 65_536, queueByteCountMax: Int = 64 << 20, requestCountMax: Int = 1024,
      requestPatience: Duration = .seconds(2), requestRateMax: Int = 10_000, requestBurstMax: Int = 20_000,
      linger: Duration = .milliseconds(200),
      reconnectInterval: ClosedRange<Duration> = .milliseconds(50)...(.seconds(1)),
      handshakeTimeout: Duration = .seconds(5), bulkNiceValue: Int = 10
    ) {
      self.runtimeDirectory = runtimeDirectory
      self.messageByteCountMax = messageByteCountMax
      self.highWaterMark = highWaterMark
      self.queueCountMax = queueCountMax
      self.queueByteCountMax = queueByteCountMax
      self.requestCountMax = requestCountMax
      self.requestPatience = requestPatience
      self.requestRateMax = requestRateMax
      self.requestBurstMax = requestBurstMax
      self.linger = linger
      self.reconnectInterval = reconnectInterval
      self.handshakeTimeout = handshakeTimeout
      self.bulkNiceValue = bulkNiceValue
    }

    /// `$XDG_RUNTIME_DIR/hypha`, or `/tmp/hypha-<user number>` where that is not set.
    public static var defaultRuntimeDirectory: String {
      if let parent = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }), parent.hasPrefix("/") {
        return "\(parent)/hypha"
      }
      return "/tmp/hypha-\(geteuid())"
    }
  }
}
