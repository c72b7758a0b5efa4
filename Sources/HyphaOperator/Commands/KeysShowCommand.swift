import Foundation
import HyphaCore
import HyphaTransport

/// `hypha keys show DIR`: the public keys of a directory.
struct KeysShowCommand: Command {
  static let configuration = CommandConfiguration(
    name: "show", abstract: "Print the public keys of a directory of keys.",
    discussion: """
      Says of each node whether its private key is here too, fits the public one, and is closed to other users. \
      Private keys are never printed. Exit status 1 where something is wrong with a file.
      """,
    examples: ["hypha keys show keys"])

  @Argument(help: "The directory of keys.", completion: .directory) var directory = "keys"
  @Flag(help: "Print the keys as JSON, one a line.") var json = false

  private struct Row: Encodable {
    let node: NodeID
    let key: LinkKey?
    /// What CurveZMQ has on the node's links, as clients in other languages and refusals name it.
    var curveKey: String?
    let privateKey: String
    let problem: String?
  }

  func run() async throws {
    let keys = try Program.require().keys
    let files = KeyFiles(directory: directory)
    let rows = try files.nodes().map { node in
      var row = row(of: node, files, keys)
      row.curveKey = row.key.flatMap { try? keys.curveKey(of: $0) }.flatMap(Z85.encode)
      return row
    }
    if json {
      for row in rows { try Output.standard.writeLine(JSON.text(row)) }
    } else {
      var table = Table([.init("node"), .init("public key"), .init("private key")])
      for row in rows {
        table.add([
          .string(row.node.text), row.key.map { .string($0.text) } ?? .none,
          .string(row.privateKey, row.problem == nil ? .plain : .red),
        ])
      }
      for line in table.lines(style: Terminal.current.style()) { try Output.standard.writeLine(line) }
    }
    for problem in rows.compactMap(\.problem) { try Output.standardError.writeLine(problem) }
    guard rows.allSatisfy({ $0.problem == nil }) else { throw ExitStatus.failure }
  }

  private func row(of node: NodeID, _ files: KeyFiles, _ keys: any LinkKeyMaking) -> Row {
    var key: LinkKey?
    do {
      key = try files.publicKey(of: node)
      let path = files.privatePath(of: node)
      guard FileManager.default.fileExists(atPath: path) else {
        return Row(node: node, key: key, privateKey: "elsewhere", problem: nil)
      }
      guard try keys.key(of: KeyFiles.secret(at: path)) == key else {
        return Row(
          node: node, key: key, privateKey: "another's",
          problem:
            "\(path) does not belong to \(files.publicPath(of: node)); make a new pair with 'keys generate --force'"
        )
      }
      return Row(node: node, key: key, privateKey: "here", problem: nil)
    } catch {
      return Row(node: node, key: key, privateKey: "unusable", problem: Self.line(error))
    }
  }

  private static func line(_ error: any Error) -> String {
    guard let error = error as? HyphaError else { return "\(error)" }
    return error.problem + (error.remedy.map { "; \($0)" } ?? "")
  }
}
