import HyphaCore

extension AgentTree {
  /// The hierarchy of `topology`; an agent's number is its place among `topology.agents`.
  ///
  /// - Throws: as ``init(parents:gates:)``.
  public init(_ topology: Topology, policy: ObserverPolicy? = nil) throws {
    let numbers = Dictionary(
      uniqueKeysWithValues: topology.agents.enumerated().map { ($0.element.id, Int32($0.offset)) })
    let gates = try (policy ?? topology.observer).mustPass.map { try Self.number(of: $0, numbers) }
    try self.init(
      parents: topology.agents.map { $0.reportsTo.flatMap { numbers[$0] } ?? -1 }, gates: Set(gates))
  }

  static func number(of agent: AgentID, _ numbers: [AgentID: Int32]) throws -> Int32 {
    guard let number = numbers[agent] else {
      throw HyphaError(
        .invalidTopology, "the observer's policy names agent '\(agent)', which does not exist",
        remedy: "name an agent of the topology")
    }
    return number
  }
}
