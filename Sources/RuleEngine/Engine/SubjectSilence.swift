/// How far the silence of a subject has been dealt with.
struct SubjectSilence: BitwiseCopyable {
    /// The last deadline that was dealt with since the last beat, and its rule.
    var handledAt = Instant.distantPast
    var handledRule: Int32 = -1
    /// The timer that counts; others are out of date.
    var timerRule: Int32 = -1
    var timerAt = Instant.distantFuture
}

/// The median interval between a subject's readings, learned from the last seven.
struct Rhythm: BitwiseCopyable {
    private var intervals: (Int64, Int64, Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0, 0, 0)
    private var count: UInt8 = 0
    private var next: UInt8 = 0
    /// Whether `Subject.lastBeat` is a reading: the first has no interval before it.
    private(set) var hasBeat = false

    /// Fewer intervals than these say nothing.
    static let enough = 3

    /// A reading that came so long after the one before. Readings of one instant came in one delivery, which says nothing about their rhythm.
    mutating func beat(after interval: Int64) {
        guard hasBeat else {
            hasBeat = true
            return
        }
        guard interval > 0 else { return }
        withUnsafeMutableBytes(of: &intervals) { $0.bindMemory(to: Int64.self)[Int(next)] = interval }
        next = (next + 1) % 7
        count = min(count + 1, 7)
    }

    func write(to writer: inout SnapshotWriter) {
        withUnsafeBytes(of: intervals) { for interval in $0.bindMemory(to: Int64.self) { writer.write(interval) } }
        writer.write(byte: count)
        writer.write(byte: next)
        writer.write(hasBeat)
    }

    init() {}

    init?(from reader: inout SnapshotReader) {
        for place in 0..<7 {
            guard let interval = reader.readInt64() else { return nil }
            withUnsafeMutableBytes(of: &intervals) { $0.bindMemory(to: Int64.self)[place] = interval }
        }
        guard let count = reader.readByte(), count <= 7, let next = reader.readByte(), next < 7, let hasBeat = reader.readBool() else {
            return nil
        }
        (self.count, self.next, self.hasBeat) = (count, next, hasBeat)
    }

    /// Nil until it is learned.
    var median: Int64? {
        guard Int(count) >= Self.enough else { return nil }
        return withUnsafeBytes(of: intervals) { bytes in
            let known = bytes.bindMemory(to: Int64.self).prefix(Int(count))
            // Of at most seven numbers the middle one is found by counting, without a place to sort them in.
            return known.first { candidate in
                var less = 0, equal = 0
                for interval in known {
                    if interval < candidate { less += 1 } else if interval == candidate { equal += 1 }
                }
                return (less..<less + equal).contains(known.count / 2)
            }
        }
    }
}
