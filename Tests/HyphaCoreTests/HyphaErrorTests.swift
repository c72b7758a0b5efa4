import HyphaCore
import Testing

/// How an error reads.
@Suite struct HyphaErrorTests {
  @Test func `an error is one line with its code, problem, remedy and cause`() {
    #expect("\(HyphaError(.failed, "it broke"))" == "failed: it broke")
    #expect("\(HyphaError(.failed, "it broke", remedy: "mend it"))" == "failed: it broke; mend it")
    #expect("\(HyphaError(.failed, "it broke", cause: "errno 5"))" == "failed: it broke (errno 5)")
    #expect(
      "\(HyphaError(.logLocked, "it broke", remedy: "mend it", cause: "errno 5"))"
        == "logLocked: it broke; mend it (errno 5)")
  }

  @Test func `codes are equal by their kind and describe themselves by its stable name`() {
    #expect(HyphaError.Code.invalidRecord == .invalidRecord)
    #expect(HyphaError.Code.invalidRecord != .invalidFrame)
    let codes: [HyphaError.Code] = [
      .invalidName, .invalidRecord, .invalidFrame, .invalidPayload, .tooLarge, .clockAhead, .schemaUnknown,
      .logInvalid, .logTooNew, .logLocked, .logFull, .logConflict, .logFailed, .addressInUse,
      .transportFailed, .invalidTopology, .invalidInput, .fileUnavailable, .undeclared, .agentFailed, .usage,
      .failed,
    ]
    #expect(
      codes.map(\.description) == [
        "invalidName", "invalidRecord", "invalidFrame", "invalidPayload", "tooLarge", "clockAhead",
        "schemaUnknown", "logInvalid", "logTooNew", "logLocked", "logFull", "logConflict", "logFailed",
        "addressInUse", "transportFailed", "invalidTopology", "invalidInput", "fileUnavailable", "undeclared",
        "agentFailed", "usage", "failed",
      ])
    #expect(Set(codes).count == codes.count)
  }
}
