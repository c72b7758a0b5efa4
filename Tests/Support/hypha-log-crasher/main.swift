import Glibc

// A child process for the tests of the log on LMDB: what may end in a signal, or must be killed, runs here.
//
//   append DIR EPOCH              appends without end; prints `AGENT SEQUENCE POSITION` for each acknowledged batch
//   hold DIR                      opens for writing, prints `open`, and waits until its input ends
//   follow DIR                    opens for reading; for each line of input prints the head and what verify finds
//   probe FILE DIR                damages copies of a log, as its input says, and prints what opening them gives
//   garble SOUND DIR              damages pages of copies of a log or its index, and does with them what a node does
//   fill DIR BYTES                appends until the file reaches a limit, lifts the limit, and appends again
//   prune DIR COUNT N             removes all but the newest COUNT entries; kills itself after N steps of that
//   replay DIR                    reads all entries of a log, slowly, again and again until its input ends
//   copy DIR OUT                  backs the log up to OUT
//   restore COPY DIR              puts a backup in the place of DIR
//   compact DIR                   compacts the log
//   work DIR EPOCH SEED ROUNDS    appends in every shape, and prints its history (see History)
//   strain DIR EPOCH SEED         the same without end; where the log refuses, waits for a line of input
//   judge DIR                     holds logs against their histories, as its input says; DIR is for damaged copies
//   count TRACE                   prints how many writes and syncs a trace has
//   cut TRACE ROOT DIR SEED COUNT cuts the power COUNT times at each moment of a trace of ROOT, and writes what is
//                                 left to DIR

do {
  let words = CommandLine.arguments.dropFirst() + ["", "", "", "", ""]
  let seed = UInt64(words[4]) ?? 1
  let count = Int(words[5]) ?? 1
  switch words[1] {
  case "append": try appendForever(words[2], epoch: UInt64(words[3]) ?? 1)
  case "hold": try hold(words[2])
  case "follow": try follow(words[2])
  case "probe": try probe(words[2], words[3])
  case "garble": try garble(words[2], words[3])
  case "fill": try fill(words[2], byteLimit: UInt64(words[3]) ?? 1 << 20)
  case "prune":
    try await prune(words[2], keeping: UInt64(words[3]) ?? 1, killAfter: Int(words[4]) ?? .max)
  case "replay": try replay(words[2])
  case "copy": try copy(words[2], to: words[3])
  case "restore": try restore(words[2], to: words[3])
  case "compact": try compact(words[2])
  case "work": try work(words[2], epoch: UInt64(words[3]) ?? 1, seed: seed, roundCount: count)
  case "strain": try strain(words[2], epoch: UInt64(words[3]) ?? 1, seed: seed)
  case "judge": try judge(copy: words[2])
  case "count":
    say("\(try TraceEntry.read(words[2]).count { $0.kind.meetsFaults })")
  case "cut":
    try cutPower(
      trace: words[2], root: words[3], target: words[4], seed: UInt64(words[5]) ?? 1,
      cutsPerMoment: Int(words[6]) ?? 1)
  default:
    say(
      "usage: append | hold | follow | probe | garble | fill | prune | replay | copy | restore | compact | work | strain | judge | count | cut"
    )
  }
} catch {
  say("error \(error)")
  exit(1)
}
