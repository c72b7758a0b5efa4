import Foundation
import HyphaCore
import HyphaFormats
import HyphaKinds
import HyphaRuntime
import HyphaTopology

/// Topology files as commands use them.
enum TopologyLoading {
  /// Every problem of a file: of its syntax, its references, of what its agents ask of their kinds, of the recordings
  /// that they act out, and of the nodes' addresses and keys. The topology has the keys of its directory of keys.
  static func read(_ path: String, _ kinds: KindRegistry, _ overrides: AddressOverrides = .none) throws -> (
    file: TopologyFile?, problems: [Diagnostic]
  ) {
    try read(contents(path), as: path, kinds, overrides)
  }

  /// The bytes of a file.
  private static func contents(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw HyphaError(
        .fileUnavailable, "the topology file \(path) cannot be read", remedy: remedy(forUnreadable: path))
    }
    return Array(data)
  }

  /// The same of a text that stands in a file's place.
  private static func read(
    _ bytes: [UInt8], as path: String, _ kinds: KindRegistry, _ overrides: AddressOverrides
  ) throws -> (file: TopologyFile?, problems: [Diagnostic]) {
    do {
      let read = try TopologyFile.read(yaml: bytes, file: path)
      let addressed = read.replacing(try overrides.applied(to: read.topology))
      let (file, missingKeys) = try addingKeys(to: addressed, beside: path)
      var problems = file.problems(kindNames: kinds.names) { kinds.declaration($0) }
      problems += badSettings(of: file, kinds) + missingRecordings(of: file, beside: path)
      // Without all keys the rest would seem to be wrong too.
      problems += missingKeys.isEmpty ? file.linkProblems() : missingKeys
      return (file, problems)
    } catch let error as TopologyDiagnostics {
      return (nil, error.diagnostics)
    }
  }

  private static func remedy(forUnreadable path: String) -> String {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue
    else {
      return "give the path of a file, such as topologies/incident-room.yaml"
    }
    return "check its permissions"
  }

  /// The file with the public keys of its directory of keys, and a problem for each that cannot be had.
  private static func addingKeys(to file: TopologyFile, beside path: String) throws -> (
    TopologyFile, [Diagnostic]
  ) {
    guard let name = file.topology.security.keysDirectory else { return (file, []) }
    let keys = KeyFiles(directory: resolved(name, beside: path))
    var problems: [Diagnostic] = []
    let nodes = file.topology.nodes.map { node in
      guard node.key == nil else { return node }
      var node = node
      do { node.key = try keys.publicKey(of: node.id) } catch {
        let error = error as? HyphaError
        problems.append(
          Diagnostic(
            file: file.file, mark: file.sources.nodes[node.id] ?? .start,
            problem: error?.problem ?? "node '\(node.id)' has no key",
            remedy: error?.remedy ?? "make one with 'hypha keys generate'"))
      }
      return node
    }
    return (file.replacing(try file.topology.replacing(nodes: nodes)), problems)
  }

  /// What the agents' kinds find wrong with the values of their settings.
  private static func badSettings(of file: TopologyFile, _ kinds: KindRegistry) -> [Diagnostic] {
    file.topology.agents.compactMap { agent in
      do {
        try kinds.check(agent.settings, of: agent.kind)
        return nil
      } catch {
        let error = error as? HyphaError
        let cause = error?.cause.map { " (\($0))" } ?? ""
        return Diagnostic(
          file: file.file, mark: file.sources.agents[agent.id]?.id ?? .start,
          problem: "agent '\(agent.id)': \(error?.problem ?? "its settings are wrong")\(cause)",
          remedy: error?.remedy ?? "correct its settings")
      }
    }
  }

  /// The topology of a file without problems, with its paths resolved and the addresses that the environment gives.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that quotes the first problem and counts the rest.
  static func load(
    _ path: String, _ kinds: KindRegistry,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Topology {
    let (file, problems) = try read(path, kinds, AddressOverrides(environment: environment))
    guard let file, problems.isEmpty else { throw TopologyDiagnostics(problems).error }
    return try resolvingFiles(of: file.topology, beside: path)
  }

  /// The text of a file, and how texts that stand in its place are read: with what lies beside it, and the addresses that
  /// the environment gives.
  ///
  /// - Throws: ``HyphaError/Code/fileUnavailable``.
  static func text(
    _ path: String, _ kinds: KindRegistry,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> TopologyText {
    TopologyText(String(decoding: try contents(path), as: UTF8.self)) { text in
      let overrides = AddressOverrides(environment: environment)
      let (file, problems) = try read(Array(text.utf8), as: path, kinds, overrides)
      guard let file, problems.isEmpty else { throw TopologyDiagnostics(problems).error }
      return try resolvingFiles(of: file.topology, beside: path)
    }
  }

  /// The topology that a text says by itself, wherever it stood: its paths, keys and addresses as they are written.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology``.
  static func plain(_ text: String, file: String) throws -> Topology {
    do {
      return try TopologyFile.read(yaml: text, file: file).topology
    } catch {
      throw error.error
    }
  }

  /// A problem for each recording that cannot be read, at its first mention: without it the agents would all
  /// fail at their start, and the deployment would wait for them without end.
  private static func missingRecordings(of file: TopologyFile, beside path: String) -> [Diagnostic] {
    var problems: [String: Diagnostic] = [:]
    for agent in file.topology.agents where agent.kind == Trace.kind {
      guard let name = agent.settings["file"]?.text, problems[name] == nil,
        let marks = file.sources.agents[agent.id]
      else { continue }
      let resolved = resolved(name, beside: path)
      guard !FileManager.default.isReadableFile(atPath: resolved) else { continue }
      let mark = marks.settings["file"] ?? file.sources.kinds[agent.kind]?.settings["file"] ?? marks.id
      problems[name] = Diagnostic(
        file: file.file, mark: mark, problem: "the recording \(resolved) cannot be read",
        remedy: "give its path from the topology file's directory")
    }
    return problems.values.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
  }

  private static func resolved(_ file: String, beside path: String) -> String {
    URL(fileURLWithPath: file, relativeTo: URL(fileURLWithPath: path).deletingLastPathComponent()).path
  }

  /// A setting named `file`, the directory of a program, and that of keys, are relative to the topology file, wherever the
  /// command is run.
  private static func resolvingFiles(of topology: Topology, beside path: String) throws -> Topology {
    let agents = topology.agents.map { agent in
      var agent = agent
      if let file = agent.settings["file"]?.text {
        agent.settings["file"] = .string(resolved(file, beside: path))
      }
      if agent.kind == Exec.kind {
        let directory = agent.settings["directory"]?.text ?? "."
        agent.settings["directory"] = .string(resolved(directory, beside: path))
      }
      return agent
    }
    var security = topology.security
    security.keysDirectory = security.keysDirectory.map { resolved($0, beside: path) }
    return try topology.replacing(agents: agents, security: security)
  }
}
