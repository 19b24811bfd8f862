import Synchronization

/// What a telemetry source has counted since it was made.
public struct MQTTCounters: Sendable, Equatable {
    /// Messages received, dropped ones included.
    public var messages = 0
    /// Messages that came again although they had been taken.
    public var redeliveriesDropped = 0
    /// Further copies of one message for overlapping filters.
    public var copiesDropped = 0
    /// Batches the sink could not take; their messages come again.
    public var batchesRefused = 0
    /// Connections accepted after the first one.
    public var reconnects = 0
}

/// Written by a connection's thread, read by any.
final class MQTTTally: Sendable {
    let messages = Atomic<Int>(0)
    let redeliveriesDropped = Atomic<Int>(0)
    let copiesDropped = Atomic<Int>(0)
    let batchesRefused = Atomic<Int>(0)
    let connections = Atomic<Int>(0)

    /// All but the connections, which are counted one by one.
    func add(_ counted: MQTTCounters) {
        messages.add(counted.messages, ordering: .relaxed)
        redeliveriesDropped.add(counted.redeliveriesDropped, ordering: .relaxed)
        copiesDropped.add(counted.copiesDropped, ordering: .relaxed)
        batchesRefused.add(counted.batchesRefused, ordering: .relaxed)
    }

    var counters: MQTTCounters {
        MQTTCounters(
            messages: messages.load(ordering: .relaxed),
            redeliveriesDropped: redeliveriesDropped.load(ordering: .relaxed),
            copiesDropped: copiesDropped.load(ordering: .relaxed),
            batchesRefused: batchesRefused.load(ordering: .relaxed),
            reconnects: max(0, connections.load(ordering: .relaxed) - 1))
    }
}
