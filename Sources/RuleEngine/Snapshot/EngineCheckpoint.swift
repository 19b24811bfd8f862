/// A picture of an engine's whole state at one position among its inputs, taken piece by piece while further inputs are applied.
///
/// Subjects are copied in turn, some at a time, and each that an input is about to change is copied just before. So the picture is of the instant at which it was begun, and no input waits
/// for more than a piece.
///
/// Form: version 7, the part that belongs to no subject (its length first), then a record a subject, each with its length, in any order, and a length of -1 at the end. What can be worked out
/// from it (timers that follow from alerts, indexes, rows) is not in it, and neither are counters.
public final class EngineCheckpoint {
    static let version: UInt8 = 7

    struct Entry {
        var source: Int32
        var ordinal: Int64
        var start: Int
        var end: Int
    }

    private var writer = SnapshotWriter()
    /// Of what is not taken yet.
    private(set) var entries: [Entry] = []
    public internal(set) var isWhole = false
    /// The engine got other rules before it was whole: it will not become whole.
    public internal(set) var isAbandoned = false
    /// Where copying goes on.
    var shard = 0
    var source = 0
    var subject = 0

    /// What belongs to no subject, as it was at the beginning.
    public let common: EngineCommonState

    init(common: EngineCommonState) { self.common = common }

    /// Bytes of records since this was last asked; `common.head` comes before the first.
    public func takeBytes() -> [UInt8] {
        entries.removeAll(keepingCapacity: true)
        return writer.take()
    }

    public var pendingBytes: Int { writer.count }

    func add(source: Int32, ordinal: Int64, _ record: [UInt8]) {
        let start = writer.count
        writer.write(bytes: record)
        entries.append(Entry(source: source, ordinal: ordinal, start: start, end: writer.count))
    }

    func finish() {
        writer.write(-1)
        isWhole = true
    }

    /// The whole with the records in the order of source and ordinal: equal for equal states. Nothing has been taken.
    func inOrder() -> [UInt8] {
        let bytes = writer.bytes
        var ordered = common.head
        for entry in entries.sorted(by: { ($0.source, $0.ordinal) < ($1.source, $1.ordinal) }) {
            ordered += bytes[entry.start..<entry.end]
        }
        return ordered + bytes.suffix(8)
    }
}
