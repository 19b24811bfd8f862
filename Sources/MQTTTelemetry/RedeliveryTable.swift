/// Recognises QoS 1 messages that the broker sends again although we have taken them.
///
/// A broker repeats, marked DUP and under the same packet id, what it believes unacknowledged when a session is taken up again. The table keeps, by
/// packet id, what was last taken under that id. An id comes into use again for another message once its acknowledgement has arrived, so what
/// was acknowledged long before a connection ended is forgotten at that end: a later DUP under that id is then another message.
struct RedeliveryTable {
    private struct Slot: BitwiseCopyable {
        var content: Int = 0
        /// Seconds since the table was made, plus one; 0 is an empty slot.
        var takenAt: UInt32 = 0
    }

    /// A broker that has read nothing for so long has closed the connection itself (MQTT 5 §3.1.2.10: one and a half keep-alives).
    private let certainAfter: UInt32
    private let start: ContinuousClock.Instant
    /// One slot a packet id, made when the first QoS 1 message comes.
    private var slots: [Slot] = []
    private(set) var isEmpty = true

    init(keepAlive: Duration, now: ContinuousClock.Instant) {
        certainAfter = UInt32(clamping: keepAlive.components.seconds * 3 / 2 + 1)
        start = now
    }

    /// Whether a message marked DUP is one that was taken before.
    func has(packetID: UInt16, content: Int) -> Bool {
        guard Int(packetID) < slots.count else { return false }
        let slot = slots[Int(packetID)]
        return slot.takenAt != 0 && slot.content == content
    }

    mutating func take(packetID: UInt16, content: Int, now: ContinuousClock.Instant) {
        if slots.isEmpty { slots = Array(repeating: Slot(), count: 65_536) }
        slots[Int(packetID)] = Slot(content: content, takenAt: seconds(now))
        isEmpty = false
    }

    /// The message was not stored after all: it has to be given when it comes again.
    mutating func forget(packetID: UInt16) {
        if Int(packetID) < slots.count { slots[Int(packetID)] = Slot() }
    }

    /// The connection is gone: keeps only what the broker may believe unacknowledged.
    mutating func connectionEnded(now: ContinuousClock.Instant) {
        let end = seconds(now)
        var empty = true
        for index in slots.indices where slots[index].takenAt != 0 {
            if end - min(end, slots[index].takenAt) > certainAfter { slots[index] = Slot() } else { empty = false }
        }
        isEmpty = empty
    }

    /// The broker has no session of ours: it repeats nothing, and its packet ids begin anew.
    mutating func sessionLost() {
        slots = []
        isEmpty = true
    }

    private func seconds(_ now: ContinuousClock.Instant) -> UInt32 { UInt32(clamping: (now - start).components.seconds + 1) }
}
