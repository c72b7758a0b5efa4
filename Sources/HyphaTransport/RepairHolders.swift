public import HyphaCore

/// Decides which node is asked for what a lane lacks. Pure.
///
/// The origin has everything, so it is asked first. Where it is silent, or does not get the lane on, those who have taken
/// the lane, too, are asked in turn; they may lack the newest of it. A
/// node that is back says so by itself.
public enum RepairHolders {
  /// How many times the origin is asked in a row while it is not silent, before others are.
  static let originTurnCount = 2

  /// The node to ask.
  ///
  /// - Parameters:
  ///   - origin: the node that states the lane's events.
  ///   - copies: the other nodes that take the lane, in any order that is the same each time.
  ///   - attempt: how many fetches have not got the lane on so far.
  ///   - isSilent: whether nothing was heard of a node for long.
  public static func choose(
    origin: NodeID, copies: [NodeID], attempt: Int, isSilent: (NodeID) -> Bool
  ) -> NodeID {
    let copies = copies.filter { !isSilent($0) }
    if isSilent(origin), !copies.isEmpty { return copies[attempt % copies.count] }
    let turn = attempt % (Self.originTurnCount + copies.count)
    return turn < Self.originTurnCount ? origin : copies[turn - Self.originTurnCount]
  }
}
