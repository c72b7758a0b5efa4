// What an author of agents imports: events, ids and subjects, and agents with their contexts.
@_exported public import HyphaCore
@_exported public import HyphaRuntime
