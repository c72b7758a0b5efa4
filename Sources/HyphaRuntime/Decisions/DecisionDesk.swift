import HyphaCore
import HyphaTopology

/// The desk of one approver: takes requests for its decisions, puts them before it, and tells who asked. Where the evidence of
/// the approver's own decisions allows it, and the topology file does, it grants at once (``DecisionLedger``).
///
/// It is an agent like any other: what it does with an event commits at once with the note that this is handled, its state is a
/// fold of what it has stated, it moves, and it is run again. Nothing else grants, so a delegation ends in the commit that takes
/// the rejection, or the operator's word.
actor DecisionDesk: Agent {
  static let kind = DeskPolicy.kind
  static let settingNames = DeskPolicy.settingNames
  static let handles = Handlers(DecisionDesk.self)
    .on(DecisionRequested.self) { try await $0.take($1, in: $2) }
    .on(DecisionAnswered.self) { try await $0.take($1, in: $2) }
    .on(DelegationRuled.self) { try await $0.take($1, in: $2) }
    .on(DigestDue.self) { agent, _, context in try await agent.tellApprover(in: context) }
  static let publishes: [any Event.Type] = [
    DecisionReferred.self, DecisionTaken.self, DecisionAudited.self, DelegationChanged.self,
    DecisionsDelegated.self, DelegationRefused.self,
  ]
  static let evolves = Evolution(DecisionLedger.self)
    .on(DecisionReferred.self) { $0.apply($1) }
    .on(DecisionTaken.self) { $0.apply($1) }
    .on(DecisionAudited.self) { $0.apply($1) }
    .on(DelegationChanged.self) { $0.apply($1) }
    .on(DecisionsDelegated.self) { $0.apply($1) }

  static func check(_ settings: JSONValue) throws { _ = try settings.decoded(as: DeskPolicy.self) }

  /// The time for a digest has come.
  struct DigestDue: Event {
    static let eventType: EventTypeName = "hypha.DecisionDigestDue"
  }

  var state = DecisionLedger()
  private var policy = DeskPolicy(approver: "nobody")

  func start(in context: Context) async throws {
    policy = try context.settings(DeskPolicy.self)
    context.turn.host.begin(state)
  }

  // MARK: Requests

  private func take(_ request: DecisionRequested, in context: Context) async throws {
    guard let event = context.event, event.agent == request.requester, event.id == request.decision,
      request.approver == policy.approver
    else {
      throw HyphaError(
        .invalidPayload, "a request for a decision is not what its author may ask here",
        remedy: "ask with context.decide")
    }
    let stratum = policy.stratum(kind: request.kind, role: request.role, amount: request.amount)
    let course = state.course(of: stratum, by: policy) {
      context.now
    } draw: {
      context.random()
    }
    guard course != .granted else { return try await grant(request, stratum, in: context) }
    guard state.open.count < DecisionLedger.openCountMax else {
      throw HyphaError(
        .tooLarge, "\(DecisionLedger.openCountMax) decisions wait for '\(policy.approver)'",
        remedy: "have it answer them")
    }
    if course == .audited { try await grant(request, stratum, isAudited: true, in: context) }
    try await context.publish(
      DecisionReferred(
        decision: request.decision, requester: request.requester, desk: context.agent, stratum: stratum,
        amount: request.amount, request: request.request, requestedAt: event.time,
        audited: course == .audited ? state.report(stratum).grant : nil), to: policy.approver)
  }

  private func grant(
    _ request: DecisionRequested, _ stratum: Delegation.Stratum, isAudited: Bool = false, in context: Context
  ) async throws {
    let grant = state.report(stratum).grant
    let isFirst = state.untold.isEmpty
    try await context.publish(
      DecisionTaken(
        decision: request.decision, requester: request.requester, stratum: stratum, amount: request.amount,
        isGranted: true, reason: nil, grant: grant, isAudited: isAudited, isShadowed: false,
        waitedMicroseconds: 0, strataMax: policy.delegation.strataMax),
      to: request.requester,
      authority: Authority(
        principal: context.agent, grant: grant ?? "", policyVersion: policy.version))
    if policy.copies == .parallel {
      try await tellApprover(in: context)
    } else if isFirst {
      try context.schedule(DigestDue(), after: policy.every)
    }
  }

  private func tellApprover(in context: Context) async throws {
    guard !state.untold.isEmpty else { return }
    try await context.publish(
      DecisionsDelegated(desk: context.agent, counts: state.untold), to: policy.approver)
  }

  // MARK: Answers

  private func take(_ answer: DecisionAnswered, in context: Context) async throws {
    guard let event = context.event, event.agent == policy.approver else {
      throw HyphaError(
        .invalidPayload, "'\(context.event?.agent.text ?? "")' answers for '\(policy.approver)'",
        remedy: "let the approver answer itself")
    }
    // A second answer, or one to what nobody has asked here.
    guard let open = state.open[answer.decision] else { return }
    let stage = state.report(open.stratum).stage
    let waited = event.time.since(open.since).wholeMicroseconds
    if let grant = open.audited {
      try await context.publish(
        DecisionAudited(
          decision: open.decision, stratum: open.stratum, grant: grant, isGranted: answer.isGranted,
          reason: answer.reason, waitedMicroseconds: waited, strataMax: policy.delegation.strataMax),
        to: nil, authority: event.authority)
    } else {
      try await context.publish(
        DecisionTaken(
          decision: open.decision, requester: open.requester, stratum: open.stratum, amount: open.amount,
          isGranted: answer.isGranted, reason: answer.reason, grant: nil, isAudited: false,
          isShadowed: stage == .shadowed || stage == .proposed, waitedMicroseconds: waited,
          strataMax: policy.delegation.strataMax),
        to: open.requester, authority: event.authority)
    }
    if let change = state.change(of: open.stratum, approved: answer.isGranted, by: policy) {
      try await context.publish(change)
    }
  }

  // MARK: Operators

  private func take(_ ruled: DelegationRuled, in context: Context) async throws {
    guard let event = context.event, event.agent.text.hasPrefix(NodeID.authorPrefix) else {
      throw HyphaError(
        .invalidPayload, "'\(context.event?.agent.text ?? "")' rules about delegation",
        remedy: "use 'hypha topology revoke' or 'hypha topology delegate'")
    }
    let concerned = state.strata.filter { ruled.concerns($0.stratum, $0.report.stage) }
    for (stratum, report) in concerned {
      let stage: Delegation.Stage = ruled.rule == .delegate ? .delegated : .watched
      var change = state.change(of: stratum, report, to: stage, by: policy)
      (change.by, change.note) = (event.authority.principal, ruled.note)
      try await context.publish(change, to: nil, authority: event.authority)
    }
    guard concerned.isEmpty else { return }
    let wanted = ruled.rule == .delegate ? "proposed" : "delegated or proposed"
    try await context.publish(
      DelegationRefused(reason: "nothing of that sort is \(wanted) for '\(policy.approver)'"))
  }
}
