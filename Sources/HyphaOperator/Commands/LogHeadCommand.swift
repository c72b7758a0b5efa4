import HyphaCore
import HyphaLog

/// `hypha log head`: what an auditor keeps of a log.
struct LogHeadCommand: Command {
  static let configuration = CommandConfiguration(
    name: "head", abstract: "Print a log's signed head, or check one that was kept.",
    discussion: """
      A head is one line: position, link of the chain, times, the node's public key and its signature (Ed25519). Who \
      keeps it can show later whether the log still holds what it held. The node's key is made when the \
      node first starts; for a log that no node has run on, by the first call of the directory's owner. Of a deployment, each node's head is a line.

      --check verifies the signatures of kept heads and looks up their place in the log, without reading it all; \
      'log verify --witness' does both. Exit status 1 where a head does not agree.
      """,
    examples: [
      "hypha log head data/incident-room/hq", "hypha log head data/incident-room/hq --check hq.head",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(
    help: "Check the heads kept in this file, or by the logs in this directory.", valueName: "path",
    completion: .file)
  var check: [String] = []
  @Option(help: "The node's public key; default that of its data directory.", valueName: "key")
  var key: NodePublicKey?

  func run() async throws {
    let inspection = try Program.require().inspection
    let stop = StopSignal()
    let witnesses = try Witnesses(files: check, inspection, stop)
    let paths = try DataPlaces.logs(in: data)
    var failures: [HyphaError] = []
    var logs: [LogIdentity] = []
    var agrees = true
    for path in paths {
      let examination = LogExamination(data: path, stop: stop)
      do {
        guard !check.isEmpty else {
          let hadKey = try inspection.publicKey(path) != nil
          try Output.standard.writeLine(examination.signedHead())
          if !hadKey, let key = try inspection.publicKey(path) {
            try Output.standardError.writeLine("\(path): made the node's key, \(key), in node.key")
          }
          continue
        }
        let chain = try examination.chain(at: witnesses.positions)
        let log = LogIdentity(id: chain.id, node: chain.node)
        logs.append(log)
        let trusted = try key ?? inspection.publicKey(path)
        var results = witnesses.compare(chain, key: trusted, isOnly: paths.count == 1)
        if paths.count == 1 { results += witnesses.silent(on: [log]).map(Witnesses.noHead) }
        for result in results {
          agrees = agrees && result.agrees
          let place = result.verdict == "no-head" ? "" : "position \(result.position): "
          try Output.standard.writeLine("\(result.file): \(place)\(result.verdict): \(result.text)")
        }
      } catch let error as HyphaError { failures.append(error) }
    }
    if paths.count > 1, failures.isEmpty {
      for stranger in witnesses.strangers(to: logs) {
        failures.append(
          HyphaError(
            .invalidInput,
            "\(stranger.file): the signed head of node \(stranger.head.head.log.node) is of none of these logs"
          ))
      }
    }
    if paths.count > 1, failures.isEmpty {
      for directory in witnesses.silent(on: logs) {
        failures.append(
          HyphaError(.invalidInput, "\(directory): no log there has taken a head of any of these logs"))
      }
    }
    // One log that cannot be read does not hide the others.
    for failure in failures.dropLast() { try Output.standardError.writeLine(failure.description) }
    if let failure = failures.last { throw failure }
    guard agrees else { throw ExitStatus.failure }
  }
}
