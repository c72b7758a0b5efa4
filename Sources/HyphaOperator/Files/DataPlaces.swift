import Foundation
import HyphaCore
import HyphaTopology

/// Where a deployment keeps its things.
enum DataPlaces {
  /// The data directory of a deployment: as given, or `data/NAME` here.
  static func directory(_ given: String?, of topology: Topology) -> String {
    given ?? "data/\(topology.name)"
  }

  /// The data directory of one node.
  static func directory(of node: NodeID, in data: String) -> String { "\(data)/\(node)" }

  /// A short private directory for the local sockets of the deployment with this data: the limit on such
  /// paths is 107 bytes.
  static func runtimeDirectory(for data: String) -> String {
    let given = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"] ?? ""
    let base = given.hasPrefix("/") ? given : "/tmp"
    let path = URL(fileURLWithPath: data).standardizedFileURL.path
    let hash = SeededGenerator.fingerprint(of: path)
    return "\(base)/hypha-\(getuid())-\(String(hash, radix: 36))"
  }

  /// The directories below `data` that hold a node's log, or `data` itself where it holds one. What a restore has moved
  /// aside is no node's.
  static func logs(in data: String) throws -> [String] {
    if holdsLog(data) { return [data] }
    let places = nodes(in: data)
    let found = places.filter(holdsLog)
    guard !found.isEmpty else {
      for path in [data, "\(data)/log"] + places + places.map({ $0 + "/log" }) where isForbidden(path) {
        throw HyphaError(
          .fileUnavailable, "\(path) may not be read by this user",
          remedy: "run as the user that owns it, or change its permissions")
      }
      throw HyphaError(
        .fileUnavailable, "\(data) holds no log of a node",
        remedy: "give the --data directory of a run, such as data/incident-room")
    }
    return found
  }

  /// The directories below `data` that were a node's and have no log any more; none where `data` is a node's itself.
  static func lostLogs(in data: String) -> [String] {
    if holdsLog(data) { return [] }
    return nodes(in: data).filter { place in
      !holdsLog(place)
        && ["log", "node.key"].contains { FileManager.default.fileExists(atPath: "\(place)/\($0)") }
    }
  }

  /// What may be nodes' directories: not what is being made, or was moved aside.
  private static func nodes(in data: String) -> [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: data)
      .filter { !$0.hasSuffix(NewDirectory.partialSuffix) }
    return (names ?? []).sorted().filter { !isMovedAside($0, beside: names ?? []) }.map { "\(data)/\($0)" }
  }

  /// The one log at `path`.
  static func log(at path: String) throws -> String {
    let found = try logs(in: path)
    guard found.count == 1 else {
      throw HyphaError(
        .usage, "\(path) holds the logs of \(found.count) nodes",
        remedy: "name one of \(found.joined(separator: ", "))")
    }
    return found[0]
  }

  private static func holdsLog(_ directory: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(directory)/log/data.mdb")
  }

  /// Whether a name is that of what a restore has moved aside, beside the node itself.
  private static func isMovedAside(_ name: String, beside names: [String]) -> Bool {
    guard let mark = name.range(of: ".replaced", options: .backwards) else { return false }
    let rest = name[mark.upperBound...]
    let isNumbered = rest.first == "-" && rest.count > 1 && rest.dropFirst().allSatisfy(\.isWholeNumber)
    return (rest.isEmpty || isNumbered) && names.contains(String(name[..<mark.lowerBound]))
  }

  /// Whether there is a directory that this user may not look into.
  private static func isForbidden(_ path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return errno == EACCES }
    guard status.st_mode & S_IFMT == S_IFDIR else { return false }
    return access(path, R_OK | X_OK) != 0 && errno == EACCES
  }
}
