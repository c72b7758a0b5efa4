// What an author of agents imports: events, ids and subjects, agents with their contexts, and what agents handle of decisions and
// oversight.
@_exported public import HyphaCore
@_exported public import HyphaRuntime

@_exported public import struct HyphaTopology.DecisionAnswered
@_exported public import struct HyphaTopology.DecisionReferred
@_exported public import struct HyphaTopology.DecisionRequested
@_exported public import struct HyphaTopology.DecisionTaken
@_exported public import struct HyphaTopology.DecisionsDelegated
@_exported public import struct HyphaTopology.Delegation
@_exported public import struct HyphaTopology.OversightDigest
