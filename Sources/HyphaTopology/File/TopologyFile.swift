public import HyphaCore

/// A topology as an operator writes it, in a YAML file: the nodes, the agents, and who reports to whom.
///
/// ```yaml
/// hypha: 1                      # the version of this file format
/// name: incident-room           # the deployment's name
/// version: 1                    # the topology's version; raise it with every change. Default: 1
///
/// log:
///   map-size: 64GiB             # the largest size of a node's log: KiB to TiB, or kB to TB. Default: 64TiB
///   inline-payload: 64KiB       # a payload of more bytes lies beside the log, once: 1KiB to 1MiB. Default: 64KiB
///   keep-newer-than: 30d        # what nodes keep of their logs by themselves; what lies beyond any of these goes, oldest
///   keep-at-most: 16GiB         # first, but for what somebody still needs. Default: everything is kept
///   keep-newest: 10000000       # that many events
///   keep-handled: true          # false: what all consumers have handled goes
///
/// alerts:
///   deadline: 30s               # how soon an alert is to be answered: d, h, m, s, ms. Default: 30s
///   redelivery: 1s              # when it is sent again at first. Default: 1s
///
/// membership:                   # how nodes watch each other; what is silent for longer is suspected, then down
///   heartbeat: 200ms            # how often each node asks each other one what is new. Default: 200ms
///   suspect-level: 10           # suspected when such a silence is as rare as 1 in 10^10. Default: 10
///   suspect-pause: 2s           # besides what a busy machine may hold up everything for. Default: 2s
///   # suspect-after: 3s         # or instead of the two: after a silence of this length
///   down-after: 10s             # the silence after which others do without it. Default: 10s
///
/// supervision:                  # how failures are dealt with. Default: as here
///   attempts: 5                 # how often a persistent event is given to a handler that throws, 1 to 1000
///   initial: 1s                 # the wait after the first attempt; then factor times as long, cap at most, and
///   factor: 2                   # up to jitter percent longer
///   cap: 1m
///   jitter: 10
///   handler-deadline: 1m        # how long a handler may run before that is reported
///   strategy: resume            # after a failure the actor goes on; or 'restart' anew; or 'stop'
///   restarts: 3                 # how many restarts are tried within restart-window before the agent stands still
///   restart-window: 1m
///
/// security:                     # how TCP links are protected. Default: they must stay on this machine
///   keys: keys                  # a directory beside this file with NODE.public, and NODE.private of those that run here
///   plain: refused              # or 'allowed': TCP links without keys may leave their machine. Not with keys
///
/// observer:                     # what the observer may do. Default: as here, without node, must-pass, pins and forbids
///   node: main                  # the node with the observer's seat; without one nobody observes a running deployment
///   mode: auto                  # or 'suggest': an operator says; or 'off'
///   version: 1                  # the number that its decisions carry; raise it with every change
///   charge: 10                  # what adding or removing one link costs, in hops
///   overdraft: 50               # how far changes may run ahead of what links have saved, in charges
///   half-life: 32               # after how many events for each agent evidence counts half
///   memory: 4096                # the most possible links that are remembered
///   agent-links: 4              # the most links of an agent, of a supervisor, and of the root
///   supervisor-links: 8
///   root-links: 16
///   kinds: [agent-agent, agent-supervisor, agent-root, supervisor-supervisor]
///   must-pass: [triage]         # supervisors that no link leads around
///   pins: [[ana, director]]     # links that are always there
///   forbids: [[ana, triage]]    # links that never are
///
/// oversight:                    # which supervisors take part in what those below them publish. Default: none
///   - {type: work.Granted, by: triage, mode: in}        # these events end at triage, who states what passes
///   - {type: work.HandedOver, by: director, mode: parallel}           # director gets each of them, too
///   - {type: ops.Signal, by: director, mode: after, every: 5m}        # and of these a digest: 1s to 7d. Default: 1m
///
/// realtime: {rate: 50000, burst: 5000}   # realtime events that an agent may send, a second and at once. Default: any number
///
/// delegation:                   # whose decisions are observed, and what may become of them. Default: nobody's
///   approvers: [triage]         # agents that take decisions; or a list of such sections, one for each set of rules
///   mode: off                   # 'auto': what has earned it is delegated; 'suggest': an operator says. Default: off
///   version: 1                  # the number that grants carry; raise it with every change
///   risk: 2%                    # the share of wrong grants that is accepted, 0.01% to 50%
///   audit: 10%                  # the share of grants that the approver looks at afterwards, 0.1% to 100%
///   audit-within: 1d            # how long that may take before nothing is granted any more
///   shadowed: 32                # the shadowed decisions without a miss that a delegation needs, at the least
///   decisions: 0                # and of all decisions
///   strata: 4096                # the most sorts of decisions that are told apart
///   amounts: [100, 1000]        # the upper bounds of ranges of amounts that are told apart. Default: none
///   copies: parallel            # the approver is told of each grant; or 'after': now and then, with 'every: 1h'
///
/// nodes:                        # one process each
///   hq: {}                      # local sockets; the same as {address: local}
///   ops: {address: "tcp://127.0.0.1:7410"}   # four ports: 7410 to 7413, on this machine
///   lab:
///     address: "tcp://lab.example:7420"      # where others connect to: a name or a numeric address
///     listen: "tcp://0.0.0.0:7420"           # where it listens. Default: at its address; required where that is a name
///     key: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"   # its public key. Default: NODE.public in the directory of keys
///     replicas: [hq, ops]       # who holds copies of all that agents of this node state. Default: nobody
///     replicated: 1             # on how many of them it must be before it leaves. Default: 0, none is waited for
///     in-doubt-after: 5s        # how long that may take; then it leaves in doubt. Default: 5s
///     keep-newer-than: 365d     # each of the keep- settings replaces the deployment's
///
/// kinds:                        # settings that all agents of a kind share
///   trace: {file: handovers.csv, speed: 3600}
///
/// agents:
///   director: {kind: supervisor, node: hq}   # the root: the one agent without reports-to
///   triage: {kind: supervisor, node: ops, reports-to: director}
///   ana:
///     kind: trace               # what it does, by the name that the program gives it
///     node: ops                 # where it runs. Default: where its supervisor does
///     reports-to: triage        # its supervisor
///     publishes: [work.HandedOver]           # what it may publish. Default: all that its kind can
///     subscribes:                            # what it takes of what others publish
///       - ops.Signal
///       - {type: ops.Signal, subject: "metrics.cpu.>"}
///     settings: {resource: Ana}              # each replaces the kind's setting of that name
///     supervision: {attempts: 1}             # each replaces the deployment's
///     realtime: {rate: 100}                  # replaces the deployment's
/// ```
///
/// `hypha`, `name`, `nodes`, `agents` and each agent's `kind` are required. Names are 1 to 63 letters,
/// digits, `.`, `_` and `-` (event types up to 127). A key that is left empty counts as left out. The only
/// root may leave out its node where there is one node. Either all nodes have keys or none.
///
/// Plain values under settings follow the core schema of YAML 1.2: `3600` is a number, `true` a truth
/// value, `yes` and `"3600"` are texts.
public struct TopologyFile: Sendable {
  /// The version of the format that this program reads and writes.
  public static let formatVersion: Int64 = 1
  /// The greatest version of a topology: changes of its links need room for versions of their own.
  static let versionMax: Int64 = 4_000_000_000

  /// The file, as the reader named it.
  public let file: String
  /// What the file says; the settings of an agent include those of its kind.
  public let topology: Topology
  /// The settings that all agents of a kind share.
  public let kinds: [String: JSONValue]
  /// Where things stand in the file.
  public let sources: SourceMap

  init(file: String, topology: Topology, kinds: [String: JSONValue], sources: SourceMap) {
    self.file = file
    self.topology = topology
    self.kinds = kinds
    self.sources = sources
  }

  /// The same file with another topology of the same nodes and agents: with keys or addresses from elsewhere.
  public func replacing(_ topology: Topology) -> TopologyFile {
    TopologyFile(file: file, topology: topology, kinds: kinds, sources: sources)
  }

  /// What is wrong with the nodes' addresses and keys together (``Topology/linkProblems()``), at the nodes' lines.
  public func linkProblems() -> [Diagnostic] {
    topology.linkProblems().map { node, error in
      Diagnostic(
        file: file, mark: sources.nodes[node] ?? .start, problem: error.problem,
        remedy: error.remedy ?? "change it")
    }
  }

  /// The topology that a document says; pure, linear in the document's size.
  ///
  /// - Parameters:
  ///   - document: what a YAML parser has read.
  ///   - file: the file's name for diagnostics.
  /// - Throws: all that is wrong with it, up to 1,000 diagnostics, by line.
  public static func decode(_ document: DocumentNode, file: String) throws(TopologyDiagnostics)
    -> TopologyFile
  {
    var decoder = TopologyDecoder(file: file)
    guard let result = decoder.decode(document) else {
      throw TopologyDiagnostics(decoder.problems.sorted())
    }
    return result
  }
}

/// Where the parts of a topology stand in their file, for diagnostics that come after decoding.
public struct SourceMap: Sendable, Hashable {
  /// The marks of one agent.
  public struct Agent: Sendable, Hashable {
    /// The agent's id.
    public var id: SourceMark
    /// Its kind.
    public var kind: SourceMark
    /// Its node, where it names one.
    public var node: SourceMark?
    /// Its supervisor, where it has one.
    public var reportsTo: SourceMark?
    /// Its standby, where it names one.
    public var standby: SourceMark?
    /// The event types that it publishes.
    public var publishes: [EventTypeName: SourceMark] = [:]
    /// Its subscriptions, in their order.
    public var subscribes: [SourceMark] = []
    /// The names of its own settings.
    public var settings: [String: SourceMark] = [:]
  }

  /// The marks of the settings of one kind.
  public struct Kind: Sendable, Hashable {
    /// The kind's name.
    public var name: SourceMark
    /// The names of its settings.
    public var settings: [String: SourceMark] = [:]
  }

  /// The nodes' names.
  public var nodes: [NodeID: SourceMark] = [:]
  /// The kinds that have settings.
  public var kinds: [String: Kind] = [:]
  /// The agents.
  public var agents: [AgentID: Agent] = [:]
  /// The rules of oversight, in their order.
  public var oversight: [SourceMark] = []
  /// The approvers whose decisions are observed.
  public var desks: [AgentID: SourceMark] = [:]
}

/// The name of a deployment.
struct DeploymentName: Name {
  static var noun: String { "deployment name" }
  static var byteCountMax: Int { 63 }
  let text: String
  init(unchecked text: String) { self.text = text }
}

/// The name of a kind of agent.
struct KindName: Name {
  static var noun: String { "kind" }
  static var byteCountMax: Int { 63 }
  let text: String
  init(unchecked text: String) { self.text = text }
}
