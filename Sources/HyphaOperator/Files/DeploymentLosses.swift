import HyphaCore
import HyphaRuntime

/// What the nodes of a deployment have counted of losses.
enum DeploymentLosses {
  /// What each node below `data` has counted: those that run are asked, of the others it is what their logs keep.
  static func read(_ data: String) async throws -> [NodeLosses] {
    let program = try Program.require()
    var all: [NodeLosses] = []
    for path in try DataPlaces.logs(in: data) {
      let request = try OperatorRequest(
        "losses", by: OperatorClient.authority(nil), parameters: [String: Int]())
      if let losses = try await OperatorClient.ask(path, request, as: NodeLosses.self) {
        all.append(losses)
      } else if let losses = try LossReading.saved(in: program.readLog(path)) {
        all.append(losses)
      }
    }
    return all
  }
}
