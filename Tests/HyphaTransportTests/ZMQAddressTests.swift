import Foundation
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Testing

/// Where a node's sockets are, and what is said when they cannot be there.
///
/// One after the other: one test starts a process, and until that has begun its program it has copies of
/// all descriptors, so that ports seem to be in use for a moment after they were closed.
@Suite(.serialized) struct `ZeroMQ addresses` {
  private static let remedy = "stop the other process or change the node's address in the topology file"

  /// What starting a transport of node `ops` alone says.
  private func startError(
    at address: NodeAddress, in directory: String = TemporaryDirectory.make(), node: NodeID = "ops",
    listen: NodeAddress? = nil, allowsPlain: Bool = false
  ) -> String? {
    do {
      let plan = LinkPlan(
        node: node, addresses: [node: address], incoming: [:], outgoing: [:], listen: listen,
        allowsPlain: allowsPlain)
      let transport = try ZMQTransport(plan: plan, options: .init(runtimeDirectory: directory))
      try transport.start(Probe())
      transport.stop()
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test func `a node on TCP has four ports in a row`() throws {
    let endpoints = try Endpoints("ops", at: .tcp(host: "127.0.0.1", port: 7410), runtimeDirectory: "/run/h")
    #expect(
      Endpoints.Role.allCases.map { endpoints[$0] } == [
        "tcp://127.0.0.1:7410", "tcp://127.0.0.1:7411", "tcp://127.0.0.1:7412", "tcp://127.0.0.1:7413",
      ])
    #expect(endpoints.description(of: .channel(.alert)) == "tcp://127.0.0.1:7412 (alert of node ops)")
  }

  @Test func `a local node has four sockets in the runtime directory`() throws {
    let endpoints = try Endpoints("ops", at: .local, runtimeDirectory: "/run/h/")
    #expect(
      Endpoints.Role.allCases.map { endpoints[$0] } == [
        "ipc:///run/h/ops.control", "ipc:///run/h/ops.persistent", "ipc:///run/h/ops.alert",
        "ipc:///run/h/ops.realtime",
      ])
  }

  @Test func `localhost is 127.0.0.1, and IPv6 gets its brackets`() throws {
    let name = try Endpoints("a", at: .tcp(host: "localhost", port: 1), runtimeDirectory: "/run/h")
    #expect(name[.control] == "tcp://127.0.0.1:1")
    for host in ["::1", "[::1]"] {
      let endpoints = try Endpoints("a", at: .tcp(host: host, port: 7410), runtimeDirectory: "/run/h")
      #expect(endpoints[.control] == "tcp://[::1]:7410")
      #expect(endpoints.isIPv6)
    }
  }

  @Test func `addresses without room for four sockets are refused`() {
    #expect(
      startError(at: .tcp(host: "127.0.0.1", port: 65_533))
        == "transportFailed: node ops needs four consecutive ports, 127.0.0.1:65533 does not begin four;"
        + " give a port from 1 to 65532 in the topology file")
    #expect(
      startError(at: .tcp(host: "", port: 7410))
        == "transportFailed: the host '' of node ops is no host;"
        + " give an address such as 127.0.0.1 in the topology file")
    #expect(
      startError(at: .local, in: "run")
        == "transportFailed: the runtime directory 'run' is not an absolute path; give it from / on")
    let long = "/tmp/" + String(repeating: "d", count: 90)
    #expect(
      startError(at: .local, in: long)
        == "transportFailed: the socket paths of node ops in \(long) have up to 110 bytes, the system allows 107;"
        + " use a runtime directory of at most 92 bytes")
  }

  @Test func `a port in use is named with its role, and the others are closed again`() throws {
    let port = Ports.next()
    for (offset, role) in [(0, "control"), (1, "persistent"), (2, "alert"), (3, "realtime")] {
      let busy = port + UInt16(offset)
      let listener = try #require(PlainListener(port: busy))
      #expect(
        startError(at: .tcp(host: "127.0.0.1", port: port))
          == "addressInUse: tcp://127.0.0.1:\(busy) (\(role) of node ops) is in use;"
          + " \(Self.remedy) (zmq_bind: Address already in use)")
      withExtendedLifetime(listener) {}
      // Nothing stayed open but the one that was.
      for other in port..<port + 4 where other != busy {
        #expect(waitUntil { PlainListener(port: other) != nil })
      }
    }
    #expect(startError(at: .tcp(host: "127.0.0.1", port: port)) == nil)
  }

  @Test func `a node on TCP leaves no directory behind that it made for its neighbours`() throws {
    let options = ZMQTransport.Options(runtimeDirectory: TemporaryDirectory.make())
    let isThere = { FileManager.default.fileExists(atPath: options.runtimeDirectory) }
    func transport(at port: UInt16) throws -> ZMQTransport {
      let addresses: [NodeID: NodeAddress] = ["ops": .tcp(host: "127.0.0.1", port: port), "hq": .local]
      let plan = LinkPlan(node: "ops", addresses: addresses, incoming: [:], outgoing: [:])
      return try ZMQTransport(plan: plan, options: options)
    }
    let port = Ports.next()
    let listener = try #require(PlainListener(port: port))
    #expect(throws: HyphaError.self) { try transport(at: port).start(Probe()) }
    withExtendedLifetime(listener) {}
    #expect(!isThere(), "it could not start")
    let started = try transport(at: Ports.next())
    try started.start(Probe())
    #expect(isThere())
    started.stop()
    #expect(!isThere(), "it has stopped")
  }

  @Test func `an address of another machine is refused`() {
    #expect(
      startError(at: .tcp(host: "192.0.2.1", port: 20_000), allowsPlain: true)
        == "transportFailed: tcp://192.0.2.1:20002 (alert of node ops) cannot be opened;"
        + " give a numeric address of this machine, such as 127.0.0.1, in the topology file"
        + " (zmq_bind: Cannot assign requested address)")
  }

  @Test func `plain links leave this machine only where the plan says so`() {
    let remedy =
      "give the nodes keys ('hypha keys generate'), or allow it: 'security: {plain: allowed}'"
    let port = Ports.next()
    for host in ["192.0.2.1", "0.0.0.0", "lab.example", "::", "127.0.0.1.example", "0127.0.0.1"] {
      #expect(
        startError(at: .tcp(host: host, port: port))
          == "transportFailed: node ops is at \(host):\(port), which other machines reach, and links have no keys; \(remedy)"
      )
    }
    #expect(
      startError(at: .tcp(host: "127.0.0.1", port: port), listen: .tcp(host: "0.0.0.0", port: port))?
        .hasPrefix("transportFailed: node ops is at 0.0.0.0:\(port), which other machines reach") == true)
    #expect(startError(at: .tcp(host: "127.9.9.9", port: port)) == nil)
  }

  @Test func `a node listens where it is told, not where others reach it`() throws {
    let port = Ports.next()
    #expect(
      startError(
        at: .tcp(host: "lab.example", port: 9), listen: .tcp(host: "0.0.0.0", port: port), allowsPlain: true)
        == nil)
    let listener = try #require(PlainListener(port: port))
    #expect(
      startError(
        at: .tcp(host: "lab.example", port: 9), listen: .tcp(host: "127.0.0.1", port: port), allowsPlain: true
      )?
      .hasPrefix("addressInUse: tcp://127.0.0.1:\(port) (control of node ops)") == true)
    withExtendedLifetime(listener) {}
  }

  // MARK: Where it was before

  /// A transport of node `ops` that listens where it was as well.
  private func start(
    at address: NodeAddress, former: [NodeAddress], in directory: String = TemporaryDirectory.make(),
    _ probe: Probe = Probe()
  ) throws -> ZMQTransport {
    var plan = LinkPlan(
      node: "ops", addresses: ["ops": address], incoming: [:], outgoing: [:], allowsPlain: true)
    plan.former = former
    let transport = try ZMQTransport(plan: plan, options: .init(runtimeDirectory: directory))
    try transport.start(probe)
    return transport
  }

  @Test func `it listens where it was, local or not, until it stops`() throws {
    let directory = TemporaryDirectory.make()
    let (port, before) = (Ports.next(), Ports.next())
    let address = NodeAddress.tcp(host: "127.0.0.1", port: port)
    let former: [NodeAddress] = [.tcp(host: "127.0.0.1", port: before), .local]
    let transport = try start(at: address, former: former, in: directory)
    for other in [port, before] {
      for offset in UInt16(0)..<4 { #expect(PlainListener(port: other + offset) == nil) }
    }
    #expect(FileManager.default.fileExists(atPath: "\(directory)/ops.alert"))
    #expect(startError(at: .local, in: directory)?.hasPrefix("addressInUse: ") == true, "its lock is held")
    transport.stop()
    #expect(waitUntil { PlainListener(port: before) != nil })
    #expect(!FileManager.default.fileExists(atPath: directory))
  }

  @Test func `one address is enough, as long as nobody else has its own`() throws {
    let elsewhere = NodeAddress.tcp(host: "192.0.2.1", port: 20_000)
    let port = Ports.next()
    let here = NodeAddress.tcp(host: "127.0.0.1", port: port)
    for (own, other) in [(elsewhere, here), (here, elsewhere)] {
      let probe = Probe()
      try start(at: own, former: [other], probe).stop()
      let told = probe.seen.refusals.sorted()
      #expect(
        told.first
          == "tcp://192.0.2.1:20000 (control of node ops) cannot be opened: the node goes on listening elsewhere"
      )
      #expect(told.count == 4)
    }
    #expect(throws: HyphaError.self) {
      try start(at: elsewhere, former: [.tcp(host: "203.0.113.1", port: 20_000)])
    }
    let listener = try #require(PlainListener(port: port))
    let probe = Probe()
    try start(at: .tcp(host: "127.0.0.1", port: Ports.next()), former: [here], probe).stop()
    #expect(
      probe.seen.refusals == [
        "tcp://127.0.0.1:\(port) (control of node ops) is in use: the node goes on listening elsewhere"
      ])
    #expect(throws: HyphaError.self) {
      try start(at: here, former: [.tcp(host: "127.0.0.1", port: Ports.next())])
    }
    withExtendedLifetime(listener) {}
  }

  @Test func `who listens at all addresses of the machine listens at the former one`() throws {
    let port = Ports.next()
    let probe = Probe()
    try start(
      at: .tcp(host: "0.0.0.0", port: port), former: [.tcp(host: "127.0.0.1", port: port)], probe
    ).stop()
    #expect(probe.seen.refusals.isEmpty)
  }

  // MARK: The runtime directory

  @Test func `the directory and the sockets are their user's alone`() throws {
    let deployment = Deployment(.ipc, ["a"], links: [])
    let node = try deployment.start(["a"])[0]
    defer { node.transport.stop() }
    let directory = deployment.options.runtimeDirectory
    let names = try FileManager.default.contentsOfDirectory(atPath: directory)
    #expect(names.sorted() == ["a.alert", "a.control", "a.lock", "a.persistent", "a.realtime"])
    func mode(_ path: String) throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
    #expect(try mode(directory) == 0o700)
    for name in names { #expect(try mode("\(directory)/\(name)") == 0o600, "\(name)") }
  }

  @Test func `a live local node is not displaced by another of its name`() throws {
    let directory = TemporaryDirectory.make()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let plan = LinkPlan(node: "ops", addresses: ["ops": .local], incoming: [:], outgoing: [:])
    let first = try ZMQTransport(plan: plan, options: .init(runtimeDirectory: directory))
    try first.start(Probe())
    let expected =
      "addressInUse: ipc://\(directory)/ops.* (all sockets of node ops) is in use by process \(getpid());"
      + " stop that process or change the node's address in the topology file"
      + " (flock: Resource temporarily unavailable)"
    #expect(startError(at: .local, in: directory) == expected)
    // A second failure shows that the first one did not take the lock away.
    #expect(startError(at: .local, in: directory) == expected)
    #expect(startError(at: .local, in: directory, node: "hq") == nil)
    first.stop()
    #expect(startError(at: .local, in: directory) == nil)
  }

  @Test func `a lock that another process holds is respected until it is killed`() throws {
    let directory = TemporaryDirectory.make()
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    holder.arguments = ["--no-fork", "\(directory)/ops.lock", "sh", "-c", "echo held; exec sleep 60"]
    let output = Pipe()
    holder.standardOutput = output
    try holder.run()
    defer { holder.terminate() }
    #expect(output.fileHandleForReading.availableData == Data("held\n".utf8))
    #expect(
      startError(at: .local, in: directory)
        == "addressInUse: ipc://\(directory)/ops.* (all sockets of node ops) is in use by another process;"
        + " stop that process or change the node's address in the topology file"
        + " (flock: Resource temporarily unavailable)")
    kill(holder.processIdentifier, SIGKILL)
    holder.waitUntilExit()
    #expect(startError(at: .local, in: directory) == nil)
  }

  @Test func `socket files that a killed process left behind do no harm`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let directory = deployment.options.runtimeDirectory
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    for role in Endpoints.Role.allCases { leaveSocketFile(at: "\(directory)/a.\(role)") }
    let nodes = try deployment.start(["a", "b"])
    nodes.forEach { $0.transport.stop() }
  }

  @Test func `a runtime directory that others may use is refused`() throws {
    let directory = TemporaryDirectory.make()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    mkdir(directory, 0o700)
    chmod(directory, 0o750)
    #expect(
      startError(at: .local, in: directory)
        == "transportFailed: the runtime directory \(directory) is open to others (mode 750);"
        + " run chmod 700 \(directory)")
  }

  @Test func `a runtime directory of another user is refused`() throws {
    let directory = TemporaryDirectory.make()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    mkdir(directory, 0o700)
    // Only root can give a directory away.
    guard chown(directory, 12_345, 12_345) == 0 else { return }
    #expect(
      startError(at: .local, in: directory)
        == "transportFailed: the runtime directory \(directory) belongs to user 12345, not \(geteuid());"
        + " give a directory of your own")
  }

  @Test func `what is no directory is refused`() throws {
    let (file, link) = (TemporaryDirectory.make(), TemporaryDirectory.make())
    defer { for path in [file, link] { unlink(path) } }
    #expect(FileManager.default.createFile(atPath: file, contents: nil))
    #expect(
      startError(at: .local, in: file)
        == "transportFailed: the runtime directory \(file) is not a directory; give another")
    #expect(symlink("/tmp", link) == 0)
    #expect(
      startError(at: .local, in: link)
        == "transportFailed: the runtime directory \(link) is not a directory; give another")
    #expect(
      startError(at: .local, in: "\(file)/below")
        == "transportFailed: the runtime directory \(file)/below cannot be made;"
        + " make its parent directory, or give another (mkdir: Not a directory)")
  }

  @Test func `a transport starts once`() throws {
    let plan = LinkPlan(
      node: "ops", addresses: ["ops": .tcp(host: "127.0.0.1", port: Ports.next())], incoming: [:],
      outgoing: [:]
    )
    let transport = try ZMQTransport(plan: plan)
    try transport.start(Probe())
    transport.stop()
    #expect {
      try transport.start(Probe())
    } throws: {
      "\($0)" == "transportFailed: the transport of node ops was started before; make another"
    }
  }

  private func leaveSocketFile(at path: String) {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(result == 0)
    close(descriptor)
  }
}
