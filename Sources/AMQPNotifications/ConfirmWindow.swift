/// The publications that the broker has not answered for, by delivery tag (1, 2, 3, … of a channel).
///
/// Confirms of messages that went to different queues come out of order, singly or `multiple`: so there is a slot for every tag from the
/// oldest open one on.
struct ConfirmWindow<Entry> {
    /// The tag of `slots[0]`.
    private var low: UInt64 = 1
    private var slots: [Entry?] = []
    /// Settled slots at the beginning, taken away together once they are half of all.
    private var settledPrefix = 0
    private(set) var openCount = 0

    mutating func append(_ entry: Entry) {
        slots.append(entry)
        openCount += 1
    }

    var oldest: Entry? { settledPrefix < slots.count ? slots[settledPrefix] : nil }

    /// Takes the entries that an answer is about; empty for a tag that is not open, whatever the wire says.
    /// With `multiple` all tags up to this one, and tag 0 then means all (AMQP 0-9-1, basic.ack).
    mutating func settle(_ tag: UInt64, multiple: Bool) -> [Entry] {
        if multiple && tag == 0 { return settle(settledPrefix..<slots.count) }
        guard tag >= low, tag - low < UInt64(slots.count) else { return [] }
        let index = Int(tag - low)
        return settle(multiple ? min(settledPrefix, index)..<index + 1 : index..<index + 1)
    }

    /// Changes all open entries.
    mutating func forEachOpen(_ change: (inout Entry) -> Void) {
        for index in settledPrefix..<slots.count {
            guard var entry = slots[index] else { continue }
            change(&entry)
            slots[index] = entry
        }
    }

    private mutating func settle(_ range: Range<Int>) -> [Entry] {
        var settled: [Entry] = []
        for index in range {
            guard let entry = slots[index] else { continue }
            slots[index] = nil
            settled.append(entry)
        }
        openCount -= settled.count
        while settledPrefix < slots.count, slots[settledPrefix] == nil { settledPrefix += 1 }
        if settledPrefix * 2 > slots.count {
            slots.removeFirst(settledPrefix)
            low += UInt64(settledPrefix)
            settledPrefix = 0
        }
        return settled
    }
}
