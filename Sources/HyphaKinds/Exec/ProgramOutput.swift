import HyphaCore
import HyphaReplay
import HyphaRuntime

/// An event that a program has answered with, as far as its line says; whether the agent may publish it is not known yet.
struct ProgramOutput: Sendable, Hashable {
  var event: RawEvent
  var addressee: AgentID?
  /// How soon an alert is to be answered; nil for the deployment's deadline.
  var within: Duration?

  /// - Throws: ``HyphaError/Code/invalidPayload`` that names the attribute that does not fit; trying again would not mend it.
  init(_ line: CloudEventLine, type: String) throws {
    func refused(_ what: String) -> HyphaError {
      HyphaError(
        .invalidPayload, "the program published an event of type '\(type.shown(80))' that \(what)",
        remedy: "correct the program")
    }
    do {
      let data = try line.data()
      let version = line.has("schemaversion") ? line.number("schemaversion") ?? 0 : 1
      guard (1...UInt64(UInt16.max)).contains(version) else {
        throw refused("has a schemaversion that is not 1 to 65535")
      }
      // An event without data is one without members.
      let payload = data.bytes.isEmpty && data.contentType == .json ? Array("{}".utf8) : data.bytes
      let channel: Channel
      switch try Self.text("channel", in: line) {
      case nil, Channel.persistent.description: channel = .persistent
      case Channel.alert.description: channel = .alert
      default: throw Misfit(text: "has a channel that is neither persistent nor alert")
      }
      if line.has("withinms") {
        guard channel == .alert, let count = line.number("withinms"), Self.withinMilliseconds.contains(count)
        else {
          throw Misfit(
            text: "has a withinms that is not 1 to \(Self.withinMilliseconds.upperBound), or is no alert")
        }
        within = .milliseconds(Int64(count))
      }
      event = RawEvent(
        type: try EventTypeName(type), schemaVersion: UInt16(version),
        subject: try Self.text("subject", in: line).map { try Subject($0) },
        contentType: data.contentType, payload: payload, channel: channel)
      addressee = try Self.text("addressee", in: line).map { try AgentID($0) }
    } catch let problem as CloudEventLine.Problem {
      throw refused(problem.text)
    } catch let misfit as Misfit {
      throw refused(misfit.text)
    } catch let error as HyphaError where error.code == .invalidName {
      throw refused("has a bad name: \(error.problem)")
    }
  }

  /// How soon an alert may be to be answered: up to 7 days.
  private static let withinMilliseconds: ClosedRange<UInt64> = 1...604_800_000

  private struct Misfit: Error { let text: String }

  /// An attribute that may be left out, but must be a text.
  private static func text(_ name: String, in line: CloudEventLine) throws -> String? {
    guard line.has(name) else { return nil }
    guard let text = line.text(name) else { throw Misfit(text: "has a \(name) that is no text") }
    return text
  }
}

/// What a program says when it could not handle an input: `hypha.failed`, with data `{"error": TEXT, "permanent": true}`.
struct ProgramFailure {
  /// What the handler throws.
  let error: any Error

  init(_ line: CloudEventLine) {
    struct Data: Decodable {
      var error: String?
      var permanent: Bool?
    }
    let data = (try? line.data().bytes).flatMap { try? JSON.decode(Data.self, from: $0) }
    let text = (data?.error ?? "the program could not handle it").oneLine(2000)
    error = data?.permanent ?? false ? ProgramCannot(description: text) : ProgramFailed(description: text)
  }
}

/// The program could not handle an input.
struct ProgramFailed: Error, CustomStringConvertible {
  let description: String
}

/// The program could not handle an input, and never will.
struct ProgramCannot: PermanentFailure, CustomStringConvertible {
  let description: String
}

extension StringProtocol {
  /// The first `count` characters or so, on one line, without what would steer a terminal.
  func oneLine(_ count: Int) -> String {
    split(whereSeparator: \.isNewline).joined(separator: " | ").shown(count)
  }
}
