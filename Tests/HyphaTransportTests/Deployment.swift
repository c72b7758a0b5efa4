import Foundation
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Synchronization
import Testing

/// The transports that the conformance suite runs against.
enum TransportKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case memory
  case ipc
  case tcp
  case curve

  var testDescription: String { rawValue }
}

/// Some nodes, each with one agent `<node>.agent`, the links between them, and their transports.
final class Deployment: Sendable {
  let addresses: [NodeID: NodeAddress]
  let options: ZMQTransport.Options
  private let kind: TransportKind
  private let links: [(from: NodeID, to: NodeID)]
  private let scheduler = RealTimeScheduler()
  private let network: MemoryNetwork
  /// The pair of each node, where links have keys.
  let pairs: [NodeID: LinkKeyPair]

  init(
    _ kind: TransportKind, _ nodes: [NodeID], links: [(from: NodeID, to: NodeID)],
    configure: (inout ZMQTransport.Options) -> Void = { _ in }
  ) {
    self.kind = kind
    self.links = links
    network = MemoryNetwork(scheduler: scheduler, seed: 1)
    addresses = nodes.reduce(into: [:]) { addresses, node in
      let isTCP = kind == .tcp || kind == .curve
      addresses[node] = isTCP ? .tcp(host: "127.0.0.1", port: Ports.next()) : .local
    }
    pairs = kind == .curve ? nodes.reduce(into: [:]) { $0[$1] = LinkKeys.pair() } : [:]
    var options = ZMQTransport.Options(runtimeDirectory: TemporaryDirectory.make())
    options.reconnectInterval = .milliseconds(10)...(.milliseconds(50))
    configure(&options)
    self.options = options
  }

  deinit {
    scheduler.stop()
    try? FileManager.default.removeItem(atPath: options.runtimeDirectory)
  }

  static func agent(of node: NodeID) -> AgentID { AgentID(unchecked: "\(node).agent") }

  func plan(_ node: NodeID) -> LinkPlan {
    var plan = LinkPlan(node: node, addresses: addresses, incoming: [:], outgoing: [:])
    for node in addresses.keys { plan.places[Self.agent(of: node)] = node }
    plan.security = pairs[node].flatMap { try? LinkSecurity(own: $0, keys: pairs.mapValues(\.key)) }
    for link in links {
      if link.to == node { plan.incoming[link.from] = [Self.agent(of: node)] }
      if link.from == node { plan.outgoing[link.to] = [Self.agent(of: link.to)] }
    }
    return plan
  }

  func transport(_ node: NodeID) throws -> any Transport {
    kind == .memory
      ? network.transport(for: plan(node)) : try ZMQTransport(plan: plan(node), options: options)
  }

  /// A started transport with a probe, once all of its links are open in both directions.
  func start(_ nodes: [NodeID]) throws -> [(transport: any Transport, probe: Probe)] {
    let started = try nodes.map { node in
      let (transport, probe) = (try transport(node), Probe())
      try transport.start(probe)
      return (transport, probe)
    }
    for (_, probe) in started where !probe.wait(until: { Set($0.opened).count == Channel.allCases.count }) {
      throw HyphaError(.failed, "the links did not open")
    }
    return started
  }

  static func frame(to node: NodeID, _ channel: Channel, _ text: String) -> OutboundFrame {
    OutboundFrame(node: node, channel: channel, bytes: frameBytes(via: agent(of: node), text))
  }
}

extension LinkKeys {
  /// A new pair; that there is none is the machine's fault, not a test's.
  static func pair() -> LinkKeyPair {
    do { return try LinkKeys().makePair() } catch { fatalError("\(error)") }
  }

  /// What CURVE has for a key that was made here.
  static func curve(_ key: LinkKey) -> [UInt8] {
    do { return try LinkKeys().curveKey(of: key) } catch { fatalError("\(error)") }
  }
}

/// Directories that are short enough for the path of a socket.
enum TemporaryDirectory {
  private static let count = Atomic<Int>(0)

  /// The path of a directory that is not there yet.
  static func make() -> String {
    "/tmp/hypha-test-\(getpid())-\(count.wrappingAdd(1, ordering: .relaxed).newValue)"
  }
}

/// Four free ports in a row, below those that the system gives away itself.
enum Ports {
  private static let tried = Atomic<Int>(Int(getpid()) * 64)

  static func next() -> UInt16 {
    while true {
      let base = UInt16(20_000 + tried.wrappingAdd(4, ordering: .relaxed).newValue % 12_000)
      if (base..<base + 4).allSatisfy({ PlainListener(port: $0) != nil }) { return base }
    }
  }
}

/// A TCP socket that listens on the loopback device and does not speak ZMTP.
final class PlainListener: Sendable {
  private let descriptor: Int32

  init?(port: UInt16) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    var address = loopback(port)
    let isBound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    // Its end closes the socket in either case.
    guard isBound, listen(descriptor, 1) == 0 else { return nil }
  }

  deinit { close(descriptor) }

  /// Accepts connections and says `text` to each. Returns false when none comes within ten seconds.
  func answer(_ text: String, times: Int) -> Bool {
    for _ in 0..<times {
      var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&item, 1, 120_000) == 1 else { return false }
      let connection = accept(descriptor, nil, nil)
      send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL))
      close(connection)
    }
    return true
  }
}

func loopback(_ port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  return address
}
