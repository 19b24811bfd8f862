/// What became of an event of an alert (it began to fire, changed its level, lost its data, ended, occurred) for one integration of a receiver.
/// Every event ends in exactly one.
public enum Disposition: String, Sendable, CaseIterable {
    /// A notification with it was delivered.
    case sent
    /// A later event of the same alert took its place before it was delivered, or its group was given up by a new configuration.
    case superseded
    /// A silence hid it. What still fires when the silence is over is an event of its own then.
    case silenced
    /// Somebody had acknowledged the alert, and it was nothing worse.
    case acknowledged
    /// The rule runs in the shadow.
    case shadow
    /// Its notification failed for good and is among the dead letters.
    case failed
    /// The end of an alert of which the receiver never heard that it fires.
    case unannounced
    /// The end of an alert, for a channel with `send_resolved: false`.
    case unwanted
    /// The receiver has no channel.
    case undirected
}

/// Counts events and what became of them. For each receiver, `taken` is the sum of all dispositions and of what is still open.
public struct DispositionLedger: Sendable, Equatable {
    public struct Entry: Hashable, Sendable {
        public var receiver: String
        public var disposition: Disposition
        public init(receiver: String, disposition: Disposition) {
            self.receiver = receiver
            self.disposition = disposition
        }
    }
    /// Since the pipeline began; `nodesphere_notifications_total`.
    public private(set) var counts: [Entry: Int] = [:]
    /// Events by receiver, with those that were open when the pipeline was restored.
    public private(set) var taken: [String: Int] = [:]

    public subscript(receiver: String, disposition: Disposition) -> Int {
        counts[Entry(receiver: receiver, disposition: disposition)] ?? 0
    }

    mutating func take(_ receiver: String, _ count: Int = 1) {
        if count > 0 { taken[receiver, default: 0] += count }
    }

    mutating func settle(_ receiver: String, _ disposition: Disposition, _ count: Int = 1) {
        if count > 0 { counts[Entry(receiver: receiver, disposition: disposition), default: 0] += count }
    }
}
