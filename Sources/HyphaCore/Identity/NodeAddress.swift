/// Where a node's sockets are.
public enum NodeAddress: Sendable, Hashable {
  /// Unix-domain sockets in a private directory of this machine.
  case local
  /// Four consecutive TCP ports on a host: control, persistent, alert, realtime.
  case tcp(host: String, port: UInt16)
}
