extension NodeStatus {
  /// Adds what an earlier life of the same node has counted from its start to its end, so that a run's figures go on where the node
  /// begins anew.
  ///
  /// What this life reads from its log is whole by itself, and what waited in the memory of the earlier one is gone: both stay as
  /// they are. So do ``gauges``, which agents report anew.
  package mutating func add(earlier: NodeStatus) {
    for (channel, counts) in earlier.channels {
      var counts = counts
      (counts.statedCount, counts.statedPairCount, counts.handledPairCount) = (0, 0, 0)
      counts.waitingCount = 0
      channels[channel, default: .init()].add(counts)
    }
    relayed.merge(earlier.relayed, uniquingKeysWith: +)
    framesDropped += earlier.framesDropped
    refusedPeerCount += earlier.refusedPeerCount
    refusedMessageCount += earlier.refusedMessageCount
    failureCount += earlier.failureCount
    replication?.inDoubtCount += earlier.replication?.inDoubtCount ?? 0
    for (node, peer) in earlier.peers {
      var now =
        peers[node]
        ?? PeerStatus(standing: "unknown", silentMicroseconds: 0, suspicionCount: 0, downCount: 0)
      now.suspicionCount += peer.suspicionCount
      now.downCount += peer.downCount
      if let count = peer.receivedFrameCount {
        now.receivedFrameCount = (now.receivedFrameCount ?? 0) + count
      }
      peers[node] = now
    }
  }

  /// Puts the notes of an earlier life before this one's, each once; the newest of all where they are too many.
  package mutating func add(earlierNotes: [String]) {
    let known = Set(notes)
    notes = (earlierNotes.filter { !known.contains($0) } + notes).suffix(Self.noteCountMax)
  }

  /// The most notes of one status.
  static var noteCountMax: Int { 100 }
}
