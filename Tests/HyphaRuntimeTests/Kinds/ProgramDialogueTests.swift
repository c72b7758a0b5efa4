import HyphaCore
import HyphaRuntime
import Testing

@testable import HyphaKinds

/// What a program may say, and what follows from it.
@Suite struct ProgramDialogueTests {
  /// A dialogue, and what it has wanted so far.
  private struct Talk {
    var dialogue: ProgramDialogue
    var writes: [String] = []
    var signals: [String] = []
    var notes: [String] = []
    var alerts: [ProgramOutput] = []
    var decisions: [(decision: ProgramDecision, line: ProgramDecision.Line?, input: String)] = []
    var isInputClosed = false
    var outcome: Result<[ProgramOutput], any Error>?

    init(_ limits: ProgramDialogue.Limits = .init()) {
      dialogue = ProgramDialogue(name: "prog", limits: limits)
    }

    mutating func note(_ effects: [ProgramDialogue.Effect]) {
      for effect in effects {
        switch effect {
        case .write(let bytes): writes.append(String(decoding: bytes, as: UTF8.self))
        case .closeInput: isInputClosed = true
        case .alert(let alert):
          #expect(outcome == nil, "within its input")
          alerts.append(alert)
        case .decide(let decision, let line, let input):
          #expect(outcome == nil, "within its input")
          decisions.append((decision, line, input))
        case .terminate: signals.append("term")
        case .kill: signals.append("kill")
        case .finish(let result):
          #expect(outcome == nil, "an input ends once")
          outcome = result
        case .note(let text): notes.append(text)
        }
      }
    }

    mutating func give(_ id: String = "i1", now: Duration = .zero) {
      outcome = nil
      note(dialogue.give(id, Array("\(id)\n".utf8), within: .seconds(60), now: now))
    }

    mutating func say(_ type: String, _ cause: String? = "i1", _ more: String = "") {
      let cause = cause.map { #""causationid":"\#($0)","# } ?? ""
      let head = #"{"specversion":"1.0","id":"x","source":"/agents/p",\#(cause)"#
      write(head + #""type":"\#(type)"\#(more)}"# + "\n")
    }

    mutating func write(_ text: String) { note(dialogue.read(Array(text.utf8)[...], now: .zero)) }

    var outputs: [ProgramOutput]? { try? outcome?.get() }
    var error: String? {
      guard case .failure(let error)? = outcome else { return nil }
      return "\(error)"
    }
  }

  // MARK: What is right

  @Test func `outputs are held back until the program says that the input is handled`() throws {
    var talk = Talk()
    talk.give()
    #expect(talk.writes == ["i1\n"] && !talk.dialogue.takesInput)
    talk.say("a.B", "i1", #","data":{"n":1},"subject":"s.t","addressee":"ana","schemaversion":3"#)
    talk.say("a.C", "i1", #","data_base64":"AQI=","datacontenttype":"application/octet-stream""#)
    talk.say("a.D")
    #expect(talk.outcome == nil)
    talk.say("hypha.handled")
    let outputs = try #require(talk.outputs)
    #expect(outputs.map(\.event.type) == ["a.B", "a.C", "a.D"])
    #expect(outputs[0].addressee == "ana" && outputs[0].event.subject == "s.t")
    #expect(outputs[0].event.schemaVersion == 3 && outputs[0].event.payload == Array(#"{"n":1}"#.utf8))
    #expect(outputs[1].event.payload == [1, 2] && outputs[1].event.contentType == .bytes)
    #expect(outputs[2].event.payload == Array("{}".utf8) && outputs[2].event.subject == "a.D")
    #expect(talk.dialogue.takesInput && talk.dialogue.answerCount == 1)
    talk.give("i2")
    talk.say("hypha.handled", "i2")
    #expect(talk.outputs == [] && talk.signals == [])
  }

  @Test func `an alert leaves when its line has come, whatever becomes of the input`() throws {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    talk.say("a.Fire", "i1", #","channel":"alert","withinms":1500,"addressee":"ana","data":1"#)
    talk.say("a.Fire", "i1", #","channel":"alert""#)
    #expect(talk.alerts.count == 2 && talk.outcome == nil)
    #expect(talk.alerts[0].event.channel == .alert && talk.alerts[0].within == .milliseconds(1500))
    #expect(talk.alerts[0].addressee == "ana" && talk.alerts[1].within == nil)
    talk.say("hypha.handled")
    #expect(talk.outputs?.map(\.event.type) == ["a.B"], "it is none of those that are committed")
  }

  @Test func `who asks for a decision is told its id within the input, or why it may not`() throws {
    var talk = Talk()
    talk.give()
    talk.say(
      "hypha.decide", "i1",
      #","data":{"kind":"trip","by":"boss","role":"clerk","amount":7,"request":{"n":1}}"#)
    talk.say("hypha.grant", "i1", #","data":{"decision":"\#(EventID.none)","reason":"why not"}"#)
    #expect(
      talk.decisions.map(\.decision) == [
        .ask(.init(kind: "trip", request: .object(["n": .integer(1)]), by: "boss", role: "clerk", amount: 7)),
        .answer(decision: .none, isGranted: true, reason: "why not"),
      ])
    let asking = try #require(talk.decisions[0].line)
    #expect(asking.id == "x" && talk.decisions[1].line == nil && talk.writes.count == 1)
    let id = EventID(time: Timestamp(microseconds: 5), random: 7)
    talk.note(talk.dialogue.decided(.success(id), to: asking, in: "i1"))
    talk.note(talk.dialogue.decided(.success(nil), to: nil, in: "i1"))
    #expect(talk.writes.count == 2)
    let reply = try JSON.decode(JSONValue.self, from: Array(talk.writes[1].utf8))
    #expect(reply["type"] == .string("hypha.deciding") && reply["causationid"] == .string("i1"))
    #expect(reply["replyto"] == .string("x") && reply["data"]?["decision"] == .string("\(id)"))
    talk.say("hypha.handled")
    #expect(talk.outputs?.isEmpty == true)
  }

  @Test func `what may not be asked fails its input, and nobody waits for an answer in vain`() throws {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    talk.say("hypha.decide", "i1", #","data":{"kind":"trip"}"#)
    talk.note(
      talk.dialogue.decided(
        .failure(HyphaError(.undeclared, "not you")), to: talk.decisions.first?.line, in: "i1"))
    talk.say("hypha.decide", "i1", #","data":{"kind":"trip"}"#)
    #expect(talk.decisions.count == 1)
    #expect(
      talk.writes.dropFirst().map { $0.contains("hypha.refused") && $0.contains("not you") } == [true, true])
    talk.say("hypha.handled")
    #expect(talk.error?.contains("not you") == true)
    talk.give("i2")
    talk.say("hypha.decide", "i2", #","data":{"amount":"much"}"#)
    #expect(talk.writes.last?.contains("hypha.refused") == true && talk.decisions.count == 1)
    talk.say("hypha.handled", "i2")
    #expect(talk.error?.contains("with data that does not fit") == true)
    // Who answers a decision waits for nothing.
    talk.give("i4")
    let count = talk.writes.count
    talk.say("hypha.grant", "i4")
    talk.say("hypha.handled", "i4")
    #expect(talk.writes.count == count && talk.error?.contains("with data that does not fit") == true)
    // An answer that comes behind its input is of no other one.
    talk.give("i3")
    talk.note(talk.dialogue.decided(.failure(HyphaError(.undeclared, "late")), to: nil, in: "i2"))
    talk.say("hypha.handled", "i3")
    #expect(talk.outputs != nil)
  }

  @Test func `an alert that may not leave fails its input, and none follows it`() throws {
    var talk = Talk()
    talk.give()
    talk.say("a.Fire", "i1", #","channel":"alert""#)
    talk.dialogue.refuse(HyphaError(.undeclared, "no"))
    talk.say("a.Fire", "i1", #","channel":"alert""#)
    talk.say("a.B")
    talk.say("hypha.handled")
    #expect(talk.error == "undeclared: no" && talk.alerts.count == 1 && talk.dialogue.takesInput)
    // What comes too late fails nothing else.
    talk.dialogue.refuse(HyphaError(.undeclared, "no"))
    talk.give("i2")
    talk.say("hypha.handled", "i2")
    #expect(talk.outputs == [])
  }

  @Test func `a line may come in any parts, and several at once`() {
    var talk = Talk()
    talk.give()
    let line =
      #"{"specversion":"1.0","id":"x","source":"p","causationid":"i1","type":"hypha.handled"}"# + "\r\n"
    for byte in line.utf8 {
      #expect(talk.outcome == nil)
      talk.note(talk.dialogue.read([byte][...], now: .zero))
    }
    #expect(talk.outputs == [])
  }

  @Test func `a failure is what the program says of it, and leaves none of its outputs`() throws {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    talk.say("hypha.failed", "i1", #","data":{"error":"no\nway"}"#)
    #expect(talk.error == "no | way" && talk.dialogue.takesInput)
    talk.give()
    talk.say("hypha.failed", "i1", #","data":{"error":"never","permanent":true}"#)
    guard case .failure(let error)? = talk.outcome else { return #expect(Bool(false)) }
    #expect(Exec.isPermanent(error) && "\(error)" == "never")
    talk.give()
    talk.say("hypha.failed", "i1", #","data":[1]"#)
    #expect(talk.error == "the program could not handle it")
  }

  // MARK: What is wrong

  @Test(arguments: [
    ("a.B", #","subject":"a..b""#, "bad name"), ("a b", "", "bad name"),
    ("a.B", #","addressee":"no one""#, "bad name"), ("a.B", #","addressee":7"#, "is no text"),
    ("a.B", #","schemaversion":0"#, "not 1 to 65535"), ("a.B", #","schemaversion":70000"#, "not 1 to 65535"),
    ("a.B", #","data_base64":"*""#, "not base64"),
    ("a.B", #","channel":"realtime""#, "neither persistent nor alert"),
    ("a.B", #","channel":1"#, "is no text"),
    ("a.B", #","withinms":10"#, "or is no alert"),
    ("a.B", #","channel":"alert","withinms":0"#, "withinms that is not"),
    ("a.B", #","channel":"alert","withinms":604800001"#, "withinms that is not"),
    ("a.B", #","channel":"alert","withinms":"soon""#, "withinms that is not"),
  ])
  func `an event that cannot be fails its input, for good, and the program goes on`(
    type: String, more: String, problem: String
  ) throws {
    var talk = Talk()
    talk.give()
    talk.say(type, "i1", more)
    talk.say("a.B")
    #expect(talk.outcome == nil)
    talk.say("hypha.handled")
    guard case .failure(let error)? = talk.outcome else { return #expect(Bool(false)) }
    #expect(Exec.isPermanent(error) && "\(error)".contains(problem), "\(error)")
    #expect(talk.signals == [] && talk.dialogue.takesInput)
  }

  @Test(arguments: [
    ("hello\n", "is no JSON object: 'hello'"), ("\n", "is no JSON object"), ("[1]\n", "is no JSON object"),
    (#"{"a":"\#u{1B}[2J"}"# + "\n", "is no JSON object"),
    (
      String(repeating: #"{"a":"#, count: 600) + "1" + String(repeating: "}", count: 600) + "\n",
      "no JSON object"
    ),
    (#"{"type":"hypha.handled","causationid":"i1"}"# + "\n", "has no specversion 1.0"),
    (#"{"specversion":"1.0","id":"x","type":"hypha.handled"}"# + "\n", "has no source"),
    (#"{"specversion":"1.0","id":"","source":"p","type":"a"}"# + "\n", "has no id"),
  ])
  func `what is no CloudEvent ends the program, and then its input fails`(text: String, problem: String) {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    talk.write(text)
    #expect(talk.signals == ["kill"] && talk.outcome == nil, "not before it is gone")
    talk.say("hypha.handled")
    #expect(talk.outcome == nil, "it is not listened to any more")
    talk.note(talk.dialogue.ended("was ended by signal 9"))
    #expect(talk.error?.contains(problem) == true, "\(talk.error ?? "")")
    #expect(talk.error?.unicodeScalars.contains("\u{1B}") == false)
  }

  @Test func `a line that names another input, or none, ends the program`() {
    for cause in ["i0", nil] {
      for type in ["a.B", "hypha.handled", "hypha.failed"] {
        var talk = Talk()
        talk.give()
        talk.say(type, cause)
        talk.note(talk.dialogue.ended("was ended by signal 9"))
        #expect(talk.signals == ["kill"] && talk.error?.contains("when it was given i1") == true)
      }
    }
  }

  @Test func `what comes after the end of an input ends the program, and is none of the input's`() {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    let end = #"{"specversion":"1.0","id":"x","source":"p","causationid":"i1","type":"hypha.handled"}"# + "\n"
    talk.write(end + end)
    #expect(talk.outputs?.count == 1 && talk.signals == ["kill"] && !talk.dialogue.takesInput)
    talk.note(talk.dialogue.ended("was ended by signal 9"))
    #expect(talk.notes == ["the program 'prog' wrote 'hypha.handled' when it had no input"])
  }

  @Test func `lines and answers are bounded`() {
    var limits = ProgramDialogue.Limits()
    (limits.lineByteCountMax, limits.outputCountMax, limits.outputByteCountMax) = (300, 3, 700)
    var talk = Talk(limits)
    talk.give()
    for _ in 0..<30 { talk.write("0123456789") }
    #expect(talk.signals == [])
    talk.write("0")
    #expect(talk.signals == ["kill"])
    talk = Talk(limits)
    talk.give()
    for _ in 0..<4 { talk.say("a.B") }
    #expect(talk.signals == ["kill"])
    talk = Talk(limits)
    talk.give()
    talk.say("a.B")
    for _ in 0..<3 { talk.say("a.B", "i1", #","channel":"alert""#) }
    #expect(talk.signals == ["kill"] && talk.alerts.count == 2)
    talk = Talk(limits)
    talk.give()
    for _ in 0..<3 { talk.say("a.B", "i1", #","data":"\#(String(repeating: "x", count: 190))""#) }
    #expect(talk.signals == ["kill"])
    talk.note(talk.dialogue.ended("was ended by signal 9"))
    #expect(talk.error?.contains("more than 3 events or 700 bytes") == true)
  }

  // MARK: Ends

  @Test func `a program that ends within an input has failed it, and one that has answered has not`() {
    var talk = Talk()
    talk.give()
    talk.say("a.B")
    talk.note(talk.dialogue.ended("exited with status 3"))
    #expect(talk.error?.contains("'prog' exited with status 3 within an input") == true)
    #expect(!talk.dialogue.takesInput)
    talk.give()
    #expect(talk.error?.contains("takes no input any more") == true)
    talk = Talk()
    talk.give()
    talk.say("hypha.handled")
    talk.note(talk.dialogue.ended("exited with status 0"))
    #expect(talk.outputs == [] && talk.notes == ["the program 'prog' exited with status 0 without an input"])
  }

  @Test func `a program that does not answer in time is killed`() {
    var talk = Talk()
    talk.give(now: .seconds(5))
    #expect(talk.dialogue.nextDue == .seconds(65))
    talk.note(talk.dialogue.tick(now: .seconds(64)))
    #expect(talk.signals == [])
    talk.note(talk.dialogue.tick(now: .seconds(65)))
    #expect(talk.signals == ["kill"] && talk.dialogue.nextDue == nil && talk.outcome == nil)
    talk.say("hypha.handled")
    talk.note(talk.dialogue.ended("was ended by signal 9"))
    #expect(talk.error?.contains("did not answer within the handler deadline") == true)
  }

  @Test func `a program that stops may answer, then is asked to end, then is ended`() {
    var talk = Talk()
    talk.give()
    talk.note(talk.dialogue.stop(now: .zero))
    #expect(talk.isInputClosed && !talk.dialogue.takesInput)
    talk.say("a.B")
    talk.say("hypha.handled")
    #expect(talk.outputs?.count == 1, "what it has answered counts")
    talk.give("i2")
    guard case .failure(let refusal)? = talk.outcome, refusal is NodeStops else {
      return #expect(Bool(false))
    }
    talk.note(talk.dialogue.ended("exited with status 0"))
    #expect(talk.signals == [] && talk.notes == [] && talk.dialogue.nextDue == nil)

    talk = Talk()
    talk.give()
    talk.note(talk.dialogue.stop(now: .zero))
    talk.note(talk.dialogue.tick(now: .milliseconds(1999)))
    #expect(talk.signals == [] && talk.outcome == nil)
    talk.note(talk.dialogue.tick(now: .seconds(2)))
    guard case .failure(let error)? = talk.outcome, error is NodeStops else { return #expect(Bool(false)) }
    #expect(talk.signals == ["term"] && talk.dialogue.nextDue == .seconds(3))
    talk.note(talk.dialogue.tick(now: .seconds(3)))
    #expect(talk.signals == ["term", "kill"] && talk.dialogue.nextDue == nil)
  }

  @Test func `a program that closes its standard output is ended`() {
    var talk = Talk()
    talk.note(talk.dialogue.outputEnded(now: .zero))
    #expect(!talk.dialogue.takesInput && talk.dialogue.nextDue == .seconds(2))
    talk.note(talk.dialogue.tick(now: .seconds(9)))
    #expect(talk.signals == ["term", "kill"])
  }

  @Test func `whatever bytes come, an input ends at most once and nothing traps`() throws {
    var random = SeededGenerator(seed: 7, name: "dialogue")
    let words = [
      "{", "}", "\n", #""specversion":"1.0","#, #""id":"x","#, #""source":"p","#, #""causationid":"i1","#,
      #""type":"hypha.handled""#, #""type":"a.B""#, "\u{0}", "\"", "\\", "é", "[", "]", ",", ":", "1e9",
    ]
    for _ in 0..<2000 {
      var talk = Talk()
      talk.give()
      var bytes: [UInt8] = []
      for _ in 0..<(random.next() % 30) {
        bytes += Array(words[Int(random.next() % UInt64(words.count))].utf8)
        if random.next() % 8 == 0 { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
      }
      talk.note(talk.dialogue.read(bytes[...], now: .zero))
      talk.note(talk.dialogue.tick(now: .seconds(100)))
      talk.note(talk.dialogue.ended("exited with status 0"))
      #expect(talk.outcome != nil)
    }
  }
}

/// What a program writes on standard error.
@Suite struct ProgramDiagnosticsTests {
  /// What is to be done with it, as a test compares it.
  private struct Errors {
    var diagnostics = Diagnostics()

    mutating func add(_ text: String) -> Bool { diagnostics.add(Array(text.utf8)) }

    mutating func next(atMilliseconds time: UInt64) -> Diagnostics.Next {
      diagnostics.next(now: Timestamp(microseconds: time * 1000))
    }
  }

  @Test func `diagnostics are recorded once a second, the newest 8 KiB`() {
    var errors = Errors()
    let (first, second) = (errors.add("one\n"), errors.add("two\n"))
    #expect(first && !second, "somebody is asked to look, once")
    var next = errors.next(atMilliseconds: 100_000)
    #expect(next == .record(text: "one\ntwo\n", omittedByteCount: 0))
    let third = errors.add(String(repeating: "x", count: 9000))
    next = errors.next(atMilliseconds: 100_400)
    #expect(third && next == .later(.milliseconds(600)))
    let fourth = errors.add("end")
    #expect(!fourth, "somebody will look")
    next = errors.next(atMilliseconds: 101_000)
    #expect(next == .record(text: String(repeating: "x", count: 8189) + "end", omittedByteCount: 811))
    next = errors.next(atMilliseconds: 109_000)
    #expect(next == .nothing)
    _ = errors.add("A")
    next = errors.next(atMilliseconds: 1)
    #expect(next == .record(text: "A", omittedByteCount: 0), "the clock was set back")
  }

  @Test func `the last words are of one input, on one line, and cannot steer a terminal`() {
    var diagnostics = Diagnostics()
    _ = diagnostics.add(Array("Traceback:\n  no\u{1B}[2J\n".utf8))
    #expect(diagnostics.lastWords == #"Traceback: |   no\u{1B}[2J"#)
    diagnostics.begin()
    #expect(diagnostics.lastWords == nil)
    _ = diagnostics.add([0xFF] + Array(repeating: 0x61, count: 5000))
    #expect(diagnostics.lastWords?.count == 1500)
  }
}
