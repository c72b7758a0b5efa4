import HyphaCore
import HyphaTopology
import Testing

/// What a changed topology file would change, in words.
@Suite struct TopologyPlanTests {
  private func topology(
    name: String = "office", nodes: [NodeSpec] = [NodeSpec(id: "x"), NodeSpec(id: "y")],
    alerts: AlertSettings = AlertSettings(), observer: ObserverPolicy = ObserverPolicy(),
    oversight: [OversightRule] = [], _ change: (inout [AgentSpec]) -> Void = { _ in }
  ) throws -> Topology {
    var agents = [
      AgentSpec(id: "root", kind: "supervisor", node: "x"),
      AgentSpec(id: "desk", kind: "supervisor", node: "x", reportsTo: "root"),
      AgentSpec(
        id: "ana", kind: "clerk", node: "y", reportsTo: "desk",
        subscribes: [Subscription(type: "work.Asked")], settings: .object(["speed": .integer(2)])),
      AgentSpec(id: "bo", kind: "clerk", node: "y", reportsTo: "desk"),
    ]
    change(&agents)
    return try Topology(
      name: name, nodes: nodes, agents: agents, alerts: alerts, observer: observer, oversight: oversight)
  }

  private func check(
    _ new: Topology, from old: Topology? = nil, past: TopologyPlan.Past = .init(), _ texts: [String],
    obstacles: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let plan = TopologyPlan(from: try old ?? topology(), to: new, past)
    #expect(plan.changes.map(\.text) == texts, sourceLocation: sourceLocation)
    #expect(plan.obstacles.map(\.problem) == obstacles, sourceLocation: sourceLocation)
    #expect(plan.isEmpty == (texts.isEmpty && obstacles.isEmpty), sourceLocation: sourceLocation)
  }

  private func moved(_ agent: AgentID, _ from: NodeID, _ to: NodeID, _ stage: AgentMoves.Stage) -> AgentMoves
  {
    var moves = AgentMoves()
    moves.take(AgentMoved(move: 1, agent: agent, from: from, to: to), at: .zero)
    moves.note(1, stage)
    return moves
  }

  @Test func `the same file changes nothing`() throws { try check(topology(), []) }

  @Test func `settings are told by their keys`() throws {
    var policy = ObserverPolicy()
    policy.node = "x"
    var other = policy
    (other.charge, other.mode) = (5, .suggest)
    try check(
      topology(alerts: AlertSettings(deadline: .seconds(10)), observer: other),
      from: topology(observer: policy),
      [
        "alerts: deadline: 10s, was the default", "alerts: redelivery: 1s, was the default",
        "observer: charge: 5, was the default", "observer: mode: suggest, was the default",
      ])
    try check(
      topology { $0[2].settings = .object(["speed": .integer(3), "zeal": .integer(1)]) },
      ["agent 'ana' has other settings: speed, zeal"])
    try check(
      topology { $0[2].publishes = ["work.Done"] },
      ["agent 'ana' may publish work.Done, might all that its kind can"])
  }

  @Test func `agents come, go, report to others and take other events, in this order`() throws {
    try check(
      topology {
        $0.remove(at: 3)
        $0[2].reportsTo = "root"
        $0[2].subscribes = [Subscription(type: "work.Done", subjects: "work.a.>")]
        $0.append(AgentSpec(id: "cy", kind: "clerk", node: "x", reportsTo: "desk"))
      },
      [
        "agent 'cy' is new: a clerk on 'x', and reports to 'desk'",
        "agent 'ana' reports to 'root', did to 'desk'",
        "agent 'ana' subscribes to work.Done (work.a.>), and did not",
        "agent 'ana' does not subscribe to work.Asked any more", "agent 'bo' is gone",
      ])
  }

  @Test func `agents move, unless they were moved there before`() throws {
    let wanted = try topology { $0[3].node = "x" }
    try check(wanted, ["agent 'bo' moves from 'y' to 'x'"])
    #expect(TopologyPlan(from: try topology(), to: wanted).moves.map(\.agent) == ["bo"])
    let past = TopologyPlan.Past(moves: moved("bo", "y", "x", .arrived))
    try check(wanted, past: past, ["agent 'bo' is placed on 'x', to which it was moved"])
    #expect(TopologyPlan(from: try topology(), to: wanted, past).moves.isEmpty)
    // Where the file does not change its place it stays where it was moved.
    try check(topology(), past: past, [])
  }

  @Test func `what cannot be applied is told with what to do`() throws {
    try check(
      topology(name: "bureau"), [], obstacles: ["the deployment is named 'office', and the file 'bureau'"])
    try check(
      topology { $0[2].kind = "boss" }, [],
      obstacles: ["agent 'ana' is of kind 'boss', and was of 'clerk', which cannot read its state"])
    try check(
      topology { ($0[2].node, $0[2].subscribes) = ("x", []) },
      ["agent 'ana' moves from 'y' to 'x'", "agent 'ana' does not subscribe to work.Asked any more"],
      obstacles: ["agent 'ana' would move, and take other events, in one step"])
    try check(
      topology { $0[3].node = "x" }, past: TopologyPlan.Past(moves: moved("bo", "x", "y", .ordered)),
      ["agent 'bo' moves from 'y' to 'x'"], obstacles: ["agent 'bo' is on its way from 'x' to 'y'"])
    let three = [NodeSpec(id: "x"), NodeSpec(id: "y"), NodeSpec(id: "z")]
    try check(
      topology(nodes: three) { $0[3].node = "z" },
      ["node 'z' is new, at local", "agent 'bo' moves from 'y' to 'z'"],
      obstacles: ["agent 'bo' would move to node 'z', which is new"])
    let gone = try TopologyPlan(from: topology(nodes: three), to: topology())
    #expect(gone.obstacles == [] && gone.changes.map(\.text) == ["node 'z' leaves"])
    try check(
      topology { $0.append(AgentSpec(id: "cy", kind: "clerk", node: "x", reportsTo: "desk")) },
      past: TopologyPlan.Past(retired: ["cy": "y"]), [],
      obstacles: ["agent 'cy' was there before, and node 'y' has its log, not 'x'"])
  }

  @Test func `oversight, replicas and pinned links`() throws {
    var policy = ObserverPolicy()
    policy.pins = [DirectLink("ana", "root")]
    try check(
      topology(
        nodes: [NodeSpec(id: "x", replicas: ReplicationSettings(nodes: ["y"])), NodeSpec(id: "y")],
        observer: policy, oversight: [OversightRule("work.Done", by: "desk", .in)]),
      [
        "'desk' oversees work.Done 'in'", "replicas of node 'x': 'y' (0 before it leaves), were none",
        "the link ana ↔ root is pinned",
      ])
  }

  @Test func `new replicas of a node have to know who has left it`() throws {
    let nodes = [NodeSpec(id: "x"), NodeSpec(id: "y", replicas: ReplicationSettings(nodes: ["x"]))]
    let text = "replicas of node 'y': 'x' (0 before it leaves), were none"
    try check(topology(nodes: nodes), [text])
    let past = TopologyPlan.Past(moves: moved("bo", "y", "x", .arrived))
    try check(
      topology(nodes: nodes), past: past, [text],
      obstacles: [
        "the replicas of node 'y' change, and the file places agent 'bo' there, which was moved to 'x'"
      ])
    try check(
      topology(nodes: nodes) { $0[3].node = "x" }, past: past,
      ["agent 'bo' is placed on 'x', to which it was moved", text])
    // What it has stated there is as durable as one disk from then on.
    let plan = try TopologyPlan(from: topology(nodes: nodes), to: topology(nodes: nodes) { $0[3].node = "x" })
    #expect(plan.obstacles == [] && plan.changes.first?.cost?.contains("'x' has no replicas") == true)
  }

  @Test func `a file is made a topology with the agents that earlier ones had`() throws {
    let (old, new) = try (topology(), topology { $0.remove(at: 3) })
    let answer = Revisions().answer(
      to: RevisionAsked(file: "new", after: 1), now: ("old", old), new: new, running: old,
      moves: AgentMoves(),
      version: 7)
    guard case .revised(let order) = answer else { throw HyphaError(.failed, "\(answer)") }
    #expect(order.revision == 2 && order.version == 8 && order.retired.map(\.agent) == ["bo"])
    let running = try new.revised(by: order, after: [old.fingerprint])
    #expect(running.hash == new.hash && running.version == 8 && running.isRetired("bo"))
    #expect(running.agents(on: "y").map(\.id) == ["ana"] && running.agent("bo")?.node == "y")
    #expect(
      Routes(running).destinations(of: Lane(agent: "ana", channel: .persistent, target: .addressee("bo")))
        .isEmpty)
    #expect(running.accepts(1, old.hash) && running.accepts(1, new.hash) && !running.accepts(9, 9))
    #expect(!old.accepts(8, new.hash))
    #expect(running.isOutdated(7) && !running.isOutdated(8))
  }

  @Test func `what was planned after another revision is refused`() throws {
    let (old, new) = try (topology(), topology { $0.remove(at: 3) })
    let answer = Revisions().answer(
      to: RevisionAsked(file: "new", after: 2), now: ("old", old), new: new, running: old,
      moves: AgentMoves(),
      version: 1)
    #expect(
      answer
        == .refused(
          RevisionRefused(reasons: ["revision 1 is the newest, and the plan was made after revision 2"])))
  }

  @Test func `who stands by and how many realtime events an agent may send are told`() throws {
    try check(
      topology {
        $0[1].standby = "bo"
        $0[3].node = "y"
        $0[2].realtime = RealtimeLimit(perSecond: 10)
      },
      [
        "agent 'desk' has 'bo' as its standby, had nobody",
        "agent 'ana' may send other numbers of realtime events",
      ])
    let limited = try Topology(
      name: "office", nodes: topology().nodes, agents: topology().agents,
      realtime: RealtimeLimit(perSecond: 5))
    try check(limited, ["realtime: rate: 5, was no limit"])
  }

  @Test func `a file that nodes cannot run under is refused`() throws {
    var policy = ObserverPolicy()
    policy.node = "x"
    policy.pins = [DirectLink("ana", "root")]
    let old = try topology(observer: policy)
    // Ana reports to whom she has a pinned link with.
    let new = try topology(observer: policy) { $0[2].reportsTo = "root" }
    func answer(_ version: UInt32) -> Revisions.Answer {
      Revisions().answer(
        to: RevisionAsked(file: "new", after: 1), now: ("old", old), new: new, running: old,
        moves: AgentMoves(), version: version)
    }
    guard case .refused(let refused) = answer(7) else { throw HyphaError(.failed, "\(answer(7))") }
    #expect(refused.reasons.count == 1 && refused.reasons[0].hasPrefix("nodes could not run under it: "))
    guard case .refused(let late) = answer(.max) else { throw HyphaError(.failed, "\(answer(.max))") }
    #expect(late.reasons == ["there is no later version of the links than 4294967295"])
  }

  @Test func `an approver that a revision drops is none any more`() throws {
    func desk(of approver: AgentID) -> AgentSpec {
      AgentSpec(id: DeskPolicy.desk(of: approver), kind: DeskPolicy.kind, node: "x", reportsTo: approver)
    }
    let old = try topology { $0 += [desk(of: "root"), desk(of: "desk")] }
    #expect(old.approver(above: "ana") == "desk" && old.desks.count == 2)
    let new = try topology { $0 += [desk(of: "root")] }
    let answer = Revisions().answer(
      to: RevisionAsked(file: "new", after: 1), now: ("old", old), new: new, running: old,
      moves: AgentMoves(), version: 1)
    guard case .revised(let order) = answer else { throw HyphaError(.failed, "\(answer)") }
    let running = try new.revised(by: order, after: [old.fingerprint])
    #expect(running.isRetired(DeskPolicy.desk(of: "desk")))
    #expect(running.approver(above: "ana") == "root" && running.desks.count == 1)
  }
}
