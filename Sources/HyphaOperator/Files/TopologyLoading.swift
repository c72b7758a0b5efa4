import Foundation
import HyphaCore
import HyphaFormats
import HyphaKinds
import HyphaRuntime
import HyphaTopology

/// Topology files as commands use them.
enum TopologyLoading {
  /// Every problem of a file: of its syntax, its references, of what its agents ask of their kinds, and of the
  /// recordings that they act out.
  static func read(_ path: String, _ kinds: KindRegistry) throws -> (
    file: TopologyFile?, problems: [Diagnostic]
  ) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw HyphaError(
        .fileUnavailable, "the topology file \(path) cannot be read",
        remedy: FileManager.default.fileExists(atPath: path)
          ? "check its permissions" : "give the path of a file, such as topologies/incident-room.yaml")
    }
    do throws(TopologyDiagnostics) {
      let file = try TopologyFile.read(yaml: Array(data), file: path)
      let problems = file.problems(kindNames: kinds.names) { kinds.declaration($0) }
      return (file, problems + badSettings(of: file, kinds) + missingRecordings(of: file, beside: path))
    } catch {
      return (nil, error.diagnostics)
    }
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

  /// The topology of a file without problems, with the paths in its settings resolved.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` that quotes the first problem and counts the rest.
  static func load(_ path: String, _ kinds: KindRegistry) throws -> Topology {
    let (file, problems) = try read(path, kinds)
    guard let file, problems.isEmpty else { throw TopologyDiagnostics(problems).error }
    return try resolvingFiles(of: file.topology, beside: path)
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

  /// A setting named `file` is relative to the topology file, wherever the command is run.
  private static func resolvingFiles(of topology: Topology, beside path: String) throws -> Topology {
    let agents = topology.agents.map { agent in
      guard let file = agent.settings["file"]?.text else { return agent }
      var agent = agent
      agent.settings["file"] = .string(resolved(file, beside: path))
      return agent
    }
    return try Topology(
      name: topology.name, version: topology.version, nodes: topology.nodes, agents: agents,
      log: topology.log, alerts: topology.alerts)
  }
}
