import HyphaCore
import HyphaLog
import HyphaRuntime

/// Prunes of a running node's log, which know what the node still needs of it. Any thread.
struct NodePruning: Sendable {
  let current: CurrentNode
  let log: any EventLog
  let directory: String
  let retention: any LogRetention
  let time: any Scheduler

  var now: Timestamp { Timestamp(microseconds: time.microseconds()) }

  /// What a prune would remove.
  ///
  /// - Parameter guards: who needs what besides the node itself.
  func plan(_ policy: RetentionPolicy, guards: [PruneGuard] = []) throws -> PrunePlan {
    let node = current.node
    return try retention.planPrune(
      of: directory, policy,
      guards: guards + AlertReading.guards(node.openAlerts) + RestartNeeds.guards(in: log),
      sparing: RestartNeeds.positions(in: log), places: node.idlePlaces(), now: now)
  }

  /// What a prune would remove if only consumers needed anything. Where that is nothing it is quickly told.
  func outline(_ policy: RetentionPolicy) throws -> PrunePlan {
    try retention.planPrune(
      of: directory, policy, guards: [], sparing: [], places: current.node.idlePlaces(), now: now)
  }

  /// Removes what a plan says.
  func carryOut(
    _ plan: PrunePlan, principal: AgentID, progress: @escaping @Sendable (Position) -> Void = { _ in }
  ) async throws -> PruneReport {
    try await retention.prune(log, plan, principal: principal, time: time, progress: progress)
  }
}
