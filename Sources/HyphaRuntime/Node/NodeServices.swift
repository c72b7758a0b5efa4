import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport

/// What a node does for the agents on it.
protocol NodeServices: AnyObject, Sendable {
  var log: any EventLog { get }
  var scheduler: any Scheduler { get }
  /// Where the agents run.
  var executor: any TaskExecutor { get }
  var limits: WireLimits { get }
  /// Where the agents' calls are noted beyond the process; nil where they are not.
  var calls: CallJournal? { get }
  var routes: RouteTable { get }
  /// Who holds copies of what agents of the node state.
  var replicas: ReplicationSettings { get }
  func now() -> Timestamp
  func newEvent() -> (EventID, Timestamp)
  func random() -> UInt64
  /// Commits a batch, however often that must be tried, and delivers its events; returns when they may leave. Returns early
  /// when the node stops; throws where trying again cannot help.
  ///
  /// - Parameter level: how many replicas must have the events; nil for what the topology file says of the node.
  func commit(_ batch: LogBatch, _ stated: [Stated], of agent: AgentID, level: Int?) async throws
  /// Throws where so many alerts of an agent wait for room in the log that no more may be sent.
  func checkRoomForAlert(of agent: AgentID) throws
  /// How soon alerts are to be answered.
  var alertSettings: AlertSettings { get }
  /// A batch of an agent has an alert-channel event of this sequence: alerts that are numbered after it are appended
  /// after it. Called under the lock that numbers.
  func holdAlerts(of agent: AgentID, from sequence: UInt64)
  /// That batch is committed, or never will be.
  func releaseAlerts(of agent: AgentID)
  /// Takes note that events do not come to an agent of this node: those of them that it wants.
  func lost(_ delivery: Delivery, for agent: AgentID, _ cause: LossCause)
  /// Sends an alert and appends it alongside.
  func publishAlert(_ alert: Stated)
  /// Counts a realtime event of an agent of this node that is for so many agents.
  func countRealtime(pairCount: Int)
  /// Counts a realtime event that its agent may not send.
  func limited(_ lane: RealtimeLane, _ subject: Subject)
  /// What counts events that agents of this node pass on.
  func relayCounts(of agents: [AgentID]) -> [RelayCount]
  /// The agents of this node that a lane leads to.
  func localTargets(of lane: Lane) -> [LocalTarget]
  /// Delivers a realtime event to agents of this node.
  func deliver<E: Event>(
    _ event: E, _ numbers: RecordTemplate.Numbers, of front: ValueFront, to targets: [LocalTarget])
  /// The counter of realtime events of a lane that leave for other nodes; nil where none do.
  func sentCounter(of lane: Lane) -> SentLane?
  /// The counter of all events of a lane, for the observer; nil where nobody observes.
  func flowCounter(of lane: Lane) -> FlowMeter.Counter?
  /// Sends events over their links; what finds no room is counted as lost.
  func send(_ run: OutboundRun)
  /// Takes note that frames do not leave, and with them their realtime events.
  func drop(_ frames: [OutboundFrame], _ cause: LossCause)
  /// The newest shared values that the node has, of those that are for a reader.
  func readShared(_ query: SharedQuery, where isForReader: (Record) -> Bool) -> [SharedItem]
  /// What the node knows of ambient questions.
  var ambient: AmbientDesk { get }
  /// The nodes of which nothing was heard for long.
  var silentNodes: Set<NodeID> { get }
  /// What becomes of decisions.
  var decisions: DecisionMeter { get }
  /// States copies of an answer for agents of some nodes.
  func state(_ answer: AnswerShared, to nodes: [NodeID], because cause: Cause)
  /// Whether agents of a kind answer questions of a type.
  func answers(_ kind: String, _ type: EventTypeName) -> Bool
  /// The nearest supervisor above an agent whose kind handles an event type; nil where there is none.
  func keeper(of agent: AgentID, _ type: EventTypeName) -> AgentID?
  /// Whether an agent of the node has handled an entry of the log on another node, before it was moved here.
  func wasHandledElsewhere(_ entry: LogEntry, by agent: AgentID) -> Bool
  /// What an agent had handled that may come into this node's log only now; nil for nothing.
  func handledElsewhere(by agent: AgentID) -> HandledElsewhere?
  /// The inputs that an agent has handled before its node's disk was lost; nil where none are known.
  func inputsHandled(by agent: AgentID) -> Set<EventID>?
  /// Gives states back what many agents need of the log, where they need it at once; each agent waits for that when it begins.
  func restoreStates() async
  /// Waits.
  func pause(_ duration: Duration) async
  /// Tells the operator.
  func note(_ text: String)
}
