/// On whose authority something happened: who acted, under which grant, under which version of the policy.
public struct Authority: Hashable, Sendable {
  /// The agent or operator key that acted, at most 63 bytes.
  public let principal: AgentID
  /// The grant that allowed it, such as `topology` or an approval's id; empty when none was needed.
  public let grant: String
  /// The version of the topology or policy that was in force.
  public let policyVersion: UInt32

  /// The longest grant in bytes.
  public static let grantByteCountMax = 127

  /// An authority by its three parts.
  public init(principal: AgentID, grant: String = "", policyVersion: UInt32 = 0) {
    self.principal = principal
    self.grant = grant
    self.policyVersion = policyVersion
  }
}
