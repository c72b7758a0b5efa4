import HyphaCore
import HyphaLog

/// Shared values in the record of calls: each stands once in an event, however many of its calls have read it.
extension Observed {
  /// The calls of one event, while they are put together.
  struct Part {
    private var calls: [ObservedCall] = []
    private var values: [Record] = []
    private var numbers: [EventID: Int] = [:]
    private var byteCount = 0

    func hasRoom(for call: ObservedCall) -> Bool {
      calls.count < Observed.callCountMax && byteCount + call.byteCount <= Observed.byteCountMax
    }

    mutating func add(_ call: ObservedCall) {
      var call = call
      byteCount += call.byteCount
      let reads = call.values.map { read in read.map { number(of: $0) } }
      call.reads = reads.isEmpty ? nil : reads
      calls.append(call)
    }

    private mutating func number(of value: Record) -> Int {
      if let known = numbers[value.id] { return known }
      numbers[value.id] = values.count
      values.append(value)
      return values.count - 1
    }

    /// The event.
    ///
    /// - Parameter left: how many persistent events of the agent follow it in its commit.
    func observed(left: Int) -> Observed {
      Observed(left: left, calls: calls, values: values.isEmpty ? nil : values.map { .record($0) })
    }
  }

  /// The calls, with what they have read.
  func callsWithValues() throws -> [ObservedCall] {
    let values = try (values ?? []).map { try $0.record() }
    return try calls.map { call in
      var call = call
      call.values = try (call.reads ?? []).map { read in
        try read.map { number in
          guard values.indices.contains(number) else {
            throw HyphaError(
              .invalidPayload, "a recorded call has read the value \(number) of \(values.count)",
              remedy: "check the log with 'hypha log verify'")
          }
          return values[number]
        }
      }
      return call
    }
  }
}
