import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha log examine`: what looks at a log that may be damaged, in a process of its own (see ``LogExamination``).
struct LogExamineCommand: Command {
  /// What to look at.
  enum Part: String, CaseIterable, ExpressibleByArgument { case verify, chain, tables, head, kept, salvage }

  static let configuration = CommandConfiguration(
    name: "examine", abstract: "Look at a log for another command.", isHidden: true)

  @Argument(help: "What to look at.") var part: Part
  @Argument(help: "A node's data directory.", completion: .directory) var data: String
  @Option(help: "Look up the chain there.", valueName: "position") var linkAt: [UInt64] = []
  @Option(help: "Salvage to this directory.", valueName: "directory", completion: .directory) var output = ""
  @Option(help: "Whose log it is.", valueName: "node") var node: NodeID?
  @Option(help: "Which log it is.", valueName: "id") var logID: EventID?
  @Flag(help: "Tell of salvaged records without a place.") var loose = false

  func run() async throws {
    Self.endWithReader()
    let inspection = try Program.require().inspection
    let positions = linkAt.map { Position(rawValue: $0) }
    do {
      switch part {
      case .verify:
        let verification = try inspection.verify(data, linksAt: positions) { progress in
          try tell(ExaminationLine(progress: progress))
        }
        try tell(ExaminationLine(verification: verification))
      case .chain: try tell(ExaminationLine(chain: try inspection.chain(data, at: positions)))
      case .tables: try inspection.tables(data) { try tell(ExaminationLine(row: $0)) }
      case .head: try tell(ExaminationLine(head: try inspection.signedHead(data).description))
      case .kept: try kept()
      case .salvage: try salvage(inspection)
      }
      try tell(ExaminationLine(isComplete: true))
    } catch let error as HyphaError {
      try tell(
        ExaminationLine(
          failure: .init(
            code: error.code.description, problem: error.problem, remedy: error.remedy, cause: error.cause)))
    }
  }

  /// Ends this process when nobody reads what it says any more: whoever started it was killed, and what it does is for
  /// nobody. A thread waits for that.
  private static func endWithReader() {
    Thread.detachNewThread {
      // No event is asked for; that the reader is gone is always told. Of what is no pipe nothing is.
      var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
      while true {
        let count = poll(&output, 1, -1)
        if count < 0, errno == EINTR { continue }
        guard count > 0, output.revents & Int16(POLLERR) != 0 else { return }
        kill(getpid(), SIGKILL)
      }
    }
  }

  /// The heads of other nodes' logs that this one has taken, the newest first.
  private func kept() throws {
    let log = try Program.require().readLog(data)
    var query = LogQuery()
    query.types = [LogHeadSigned.eventType]
    query.order = .backward
    var cursor: LogCursor?
    var leftCount = LogExamination.keptHeadCountMax
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where leftCount > 0 && entry.source != .stated {
        // No head is as long as that, whatever a node has stated.
        guard let said = try? LogHeadSigned.decode(entry.record), said.head.utf8.count <= 2_048 else {
          continue
        }
        leftCount -= 1
        try tell(ExaminationLine(position: entry.position, head: said.head))
      }
      cursor = leftCount > 0 ? page.next : nil
    } while cursor != nil
  }

  /// The tables are LMDB's to read, so that is done by one more process.
  private func salvage(_ inspection: any LogInspection) throws {
    let tables = try LogExamination(data: data, stop: StopSignal([])).tables()
    let owner = StatedOwner(node: node, id: logID)
    let report = try inspection.salvage(data, to: output, tables: tables, owner: owner) { record in
      if loose { try tell(ExaminationLine(loose: LooseLine(record))) }
    } progress: { done, all in
      try tell(ExaminationLine(searched: .init(done: done, all: all)))
    }
    try tell(ExaminationLine(salvage: report))
  }

  /// What was said is said, whatever happens next.
  private func tell(_ line: ExaminationLine) throws {
    try Output.standard.writeLine(JSON.text(line))
    try Output.standard.flush()
  }
}

/// What the examining process says, a line of JSON each.
struct ExaminationLine: Codable {
  struct Failure: Codable {
    var code, problem: String
    var remedy, cause: String?
  }

  /// The bytes of a file that salvage has searched.
  struct Searched: Codable {
    var done, all: UInt64
  }

  var progress: LogProgress?
  var verification: LogVerification?
  var chain: ChainLookup?
  var row: SalvagedRow?
  /// Where a kept head stands.
  var position: Position?
  var head: String?
  var searched: Searched?
  var loose: LooseLine?
  var salvage: SalvageReport?
  var failure: Failure?
  var isComplete: Bool?
}
