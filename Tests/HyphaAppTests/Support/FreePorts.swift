import Foundation
import Synchronization

/// Ports of the loopback device that nobody listens at, below those that the system gives away itself.
enum FreePorts {
  private static let tried = Atomic<Int>(Int(getpid()) % 1000 * 8)

  /// The first of four in a row; not given twice.
  static func four() -> UInt16 {
    while true {
      let base = UInt16(12_000 + tried.wrappingAdd(4, ordering: .relaxed).newValue % 8_000)
      if (base..<base + 4).allSatisfy(isFree) { return base }
    }
  }

  static func isFree(_ port: UInt16) -> Bool { PortHolder(port).holds }
}

/// Listens on a port of all addresses, where that is free, as long as it is there.
final class PortHolder {
  /// Whether the port was free.
  let holds: Bool
  private let descriptor: Int32

  init(_ port: UInt16) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let isBound = withUnsafePointer(to: &address) { [descriptor] in
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    holds = isBound && listen(descriptor, 1) == 0
  }

  deinit { close(descriptor) }
}
