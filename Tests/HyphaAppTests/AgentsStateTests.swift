import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaOperator

extension Processes {
  /// `hypha agents state`.
  @Suite struct AgentsStateTests {
    private struct Booked: Decodable { var number: Int }

    private func decoded(_ result: Hypha.Result) throws -> JSONValue {
      #expect(result.status == 0, "\(result.errors)")
      return try JSON.decode(JSONValue.self, from: result.output.utf8)
    }

    @Test func `the state at any place is what the events up to there make of it`() async throws {
      let scratch = try Scratch()
      let job = try JobRun(in: scratch)
      let run = try job.start()
      // What the books have is in the log as events.
      func booked() throws -> [(position: Position, time: Timestamp, id: EventID, number: Int)] {
        var found: [(position: Position, time: Timestamp, id: EventID, number: Int)] = []
        try job.log().scan { entry in
          if entry.record.header.type == "test.JobBooked", entry.source == .stated {
            let number = try JSON.decode(Booked.self, from: entry.record.payload).number
            found.append((entry.position, entry.record.header.time, entry.record.header.id, number))
          }
          return true
        }
        return found
      }
      #expect(await becomesTrue { (try? booked().count) ?? 0 >= JobRun.booked.count })
      // While the node runs.
      let now = try decoded(try await job.app("agents", "state", job.data, "books", "--json"))
      run.signal(SIGTERM)
      _ = await run.end()
      let events = try booked()
      let numbers = events.map { JSONValue.integer(Int64($0.number)) }
      #expect(now["state"]?["booked"] == .array(numbers) && now["node"] == .string("b"))
      for index in [0, 6, events.count - 1] {
        let event = events[index]
        for place in ["\(event.position)", event.time.text] {
          let then = try decoded(
            try await job.app("agents", "state", job.data, "books", "--at", place, "--json"))
          #expect(then["state"]?["booked"] == .array(Array(numbers.prefix(index + 1))), "\(place)")
          #expect(then["events"] == .integer(Int64(index + 1)))
        }
      }
      let begin = try decoded(try await job.app("agents", "state", job.data, "books", "--at", "1", "--json"))
      #expect(begin["state"]?["booked"] == .array([]) && begin["position"] == .null)
      let why = try decoded(
        try await job.app("agents", "state", job.data, "books", "--why", "booked.3", "--json"))
      #expect(why["event"] == .string(events[3].id.description) && why["value"] == numbers[3])
      let since = try decoded(
        try await job.app(
          "agents", "state", job.data, "books", "--since", "\(events[4].position)", "--at",
          "\(events[5].position)", "--json"))
      #expect(
        since == .array([.object(["member": .string("booked.5"), "before": .null, "after": numbers[5]])]))
      let text = try await job.app("agents", "state", job.data, "books")
      #expect(text.output.contains("books on node b, as of position") && text.output.contains("booked.0: "))
      let whole = try await job.app("agents", "state", job.data, "worker", "--why", "done")
      #expect(whole.status == 2 && whole.errors.contains("does not evolve by events"))
      let nobody = try await job.app("agents", "state", job.data, "nobody")
      #expect(nobody.status == 1 && nobody.errors.contains("an agent 'nobody' is there"))
      let elsewhere = try await job.app("agents", "state", job.data + "/a", "books")
      #expect(
        elsewhere.status == 1 && elsewhere.errors.contains("'books' is on node 'b'"), "\(elsewhere.errors)")
      let near = try await job.app("agents", "state", job.data, "boks")
      #expect(near.status == 1 && near.errors.contains("did you mean 'books'?"), "\(near.errors)")
      // A difference goes forward, whatever its ends are given as.
      let (early, late) = (events[1], events[5])
      for (since, at) in [
        ("\(late.position)", "\(early.position)"), (late.time.text, early.time.text),
        ("\(late.position)", early.time.text), (late.time.text, "\(early.position)"),
      ] {
        let backward = try await job.app(
          "agents", "state", job.data, "books", "--since", since, "--at", at)
        #expect(backward.status == 2 && backward.errors.contains("let the range go forward"), "\(backward)")
      }
      let none = try await job.app(
        "agents", "state", job.data, "books", "--since", "\(late.position)", "--at", "\(late.position)")
      #expect(none.output == "nothing has changed\n")
    }

    @Test func `of a state that is committed whole, what the log keeps is shown`() async throws {
      let scratch = try Scratch()
      let job = try JobRun(in: scratch)
      let run = try job.start()
      func stated() throws -> [LogEntry] {
        var stated: [LogEntry] = []
        try job.log().scan { entry in
          let header = entry.record.header
          if header.agent == "worker", entry.source == .stated, !header.type.text.hasPrefix("hypha.") {
            stated.append(entry)
          }
          return true
        }
        return stated
      }
      // To its end: an alert that still waits for the worker rightly keeps all from being pruned.
      #expect(await run.end().status == 0)
      let own = try stated()
      let now = try decoded(try await job.app("agents", "state", job.data, "worker", "--json"))
      let cursor = try #require(try job.log().cursor(CursorKey(agent: "worker", channel: .persistent)))
      #expect(now["handled"]?["persistent"]?["events"] == .integer(Int64(cursor.handledCount)))
      #expect(now["handled"]?["persistent"]?["position"] == .integer(Int64(cursor.position.rawValue)))
      #expect(
        now["stated"] == .integer(Int64(own.count)) && now["toBeGivenAgain"] != nil && now["timers"] != nil)
      let last = try #require(own.last)
      #expect(now["last"]?["id"] == .string(last.record.header.id.description))
      // At a place, what was stated up to there, and because of what; nothing that only the newest moment has.
      let place = own[own.count / 2]
      let then = try decoded(
        try await job.app("agents", "state", job.data, "worker", "--at", "\(place.position)", "--json"))
      #expect(then["stated"] == .integer(Int64(own.count / 2 + 1)))
      #expect(then["last"]?["position"] == .integer(Int64(place.position.rawValue)))
      #expect(then["because"]?["id"] == .string(place.record.header.causation.description))
      #expect(then["state"] == nil && then["handled"] == nil)
      let text = try await job.app("agents", "state", job.data, "worker")
      #expect(text.status == 0 && text.output.contains("whose state is committed whole"))
      #expect(text.output.contains("handled: \(cursor.handledCount) persistent events, all up to position "))
      #expect(text.output.contains("open questions: in no log"))
      let earlier = try await job.app("agents", "state", job.data, "worker", "--at", "\(place.position)")
      #expect(earlier.output.contains("see them without --at"), "\(earlier.output)")
      // Of a log that was pruned, what is gone is not counted as if it had not been.
      let pruned = try await scratch.hypha("log", "prune", "\(job.data)/b", "--handled", "--yes")
      let gap = try #require(try job.log().gaps().first, "\(pruned)").range
      let left = try await job.app("agents", "state", job.data, "worker")
      let what = "as far as the log has them: positions \(gap.lowerBound) to \(gap.upperBound) were pruned"
      #expect(left.output.contains(what), "\(left.output)")
      let gone = try await job.app("agents", "state", job.data, "worker", "--at", "\(gap.upperBound)")
      #expect(gone.status == 1, "\(gone)")
      #expect(gone.errors.contains("the log was pruned through position \(gap.upperBound)"), "\(gone)")
    }

    @Test func `the past of a state that is committed whole is found by running the agent again`()
      async throws
    {
      let scratch = try Scratch()
      let job = try JobRun(in: scratch)
      let run = try job.start()
      func done() throws -> [(position: Position, number: Int, cause: EventID)] {
        var done: [(position: Position, number: Int, cause: EventID)] = []
        try job.log().scan { entry in
          if entry.record.header.type == "test.JobDone", entry.source == .stated {
            let number = try JSON.decode(Booked.self, from: entry.record.payload).number
            done.append((entry.position, number, entry.record.header.causation))
          }
          return true
        }
        return done
      }
      #expect(await becomesTrue { (try? done().count) ?? 0 >= 12 })
      func past(_ words: String...) async throws -> Hypha.Result {
        try await Hypha(
          ["agents", "state", job.data, "worker", "--topology", job.file] + words, in: scratch,
          program: Places.testApp
        ).end()
      }
      // While the node runs.
      let early = try done()[3]
      func numbers(_ count: Int) throws -> JSONValue {
        .array(try done().prefix(count).map { .integer(Int64($0.number)) })
      }
      let running = try decoded(try await past("--at", "\(early.position)", "--json"))
      #expect(running["state"]?["done"] == (try numbers(4)))
      run.signal(SIGTERM)
      _ = await run.end()
      let own = try done()
      for index in [0, 5, own.count - 1] {
        let then = try decoded(try await past("--at", "\(own[index].position)", "--json"))
        #expect(then["state"]?["done"] == (try numbers(index + 1)) && then["calls"] != nil)
      }
      let why = try decoded(try await past("--why", "done.2", "--json"))
      #expect(why["event"] == .string(own[2].cause.description) && why["type"] == .string("test.Job"))
      #expect(why["position"] == .integer(Int64(own[2].position.rawValue)))
      let since = try await past("--since", "\(own[4].position)", "--at", "\(own[5].position)")
      #expect(since.output.contains("done.5: – → \(own[5].number)"), "\(since)")
      let text = try await past("--why", "done.2")
      #expect(text.output.contains("made so when it handled test.Job \(own[2].cause) of feeder"), "\(text)")
      // A program that has no such kind says which one has.
      let plain = try await scratch.hypha("agents", "state", job.data, "worker", "--at", "9")
      #expect(plain.status == 2 && plain.errors.contains("has no kind 'worker', of which 'worker' is"))
      #expect(plain.errors.contains("run 'agents state' of the program that has it"))
    }

    @Test func `changes are told member by member`() {
      let before: JSONValue = .object([
        "a": .integer(1), "b": .array([.integer(1), .integer(2)]), "c": .object([:]),
      ])
      let after: JSONValue = .object([
        "a": .integer(1), "b": .array([.integer(3)]), "d": .null, "c": .object([:]),
      ])
      #expect(
        StateChanges.between(before, after) == [
          .init(path: "b.1", before: .integer(2), after: nil),
          .init(path: "b.0", before: .integer(1), after: .integer(3)),
          .init(path: "d", before: nil, after: .null),
        ])
      #expect(StateChanges.value(at: "b.1", of: before) == .integer(2))
      #expect(
        StateChanges.value(at: "b.7", of: before) == nil && StateChanges.value(at: "a.x", of: before) == nil)
    }
  }
}
