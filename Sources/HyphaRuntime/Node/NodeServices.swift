import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport

/// What a node does for the agents on it.
protocol NodeServices: AnyObject, Sendable {
  var log: any EventLog { get }
  var scheduler: any Scheduler { get }
  var limits: WireLimits { get }
  var routes: RouteTable { get }
  func now() -> Timestamp
  func newEvent() -> (EventID, Timestamp)
  func random() -> UInt64
  /// Commits a batch, however often that must be tried, and delivers its events. Returns early when the node
  /// stops; throws where trying again cannot help.
  func commit(_ batch: LogBatch, _ stated: [Stated], of agent: AgentID) async throws
  /// Throws where so many alerts of an agent wait for room in the log that no more may be sent.
  func checkRoomForAlert(of agent: AgentID) throws
  /// How soon alerts are to be answered.
  var alertSettings: AlertSettings { get }
  /// A batch of an agent has an alert-channel event of this sequence: alerts that are numbered after it are appended
  /// after it. Called under the lock that numbers.
  func holdAlerts(of agent: AgentID, from sequence: UInt64)
  /// That batch is committed, or never will be.
  func releaseAlerts(of agent: AgentID)
  /// Takes note that an event does not come to an agent of this node.
  func lost(_ header: RecordHeader, for agent: AgentID, _ cause: LossCause)
  /// Sends an alert and appends it alongside.
  func publishAlert(_ alert: Stated)
  /// Delivers a realtime event on this node and sends it where else it goes.
  func publishRealtime(_ header: RecordHeader, _ draft: Draft) throws
  /// The nearest supervisor above an agent whose kind handles an event type; nil where there is none.
  func keeper(of agent: AgentID, _ type: EventTypeName) -> AgentID?
  /// Waits.
  func pause(_ duration: Duration) async
  /// Tells the operator.
  func note(_ text: String)
}
