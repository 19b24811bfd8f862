/// Little-endian bytes of a snapshot.
struct SnapshotWriter: ~Copyable {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ number: Int64) { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
    mutating func write(_ number: UInt64) { write(Int64(bitPattern: number)) }
    mutating func write(_ count: Int) { write(Int64(count)) }
    mutating func write(_ number: Double) { write(number.bitPattern) }
    mutating func write(_ truth: Bool) { bytes.append(truth ? 1 : 0) }
    mutating func write(byte: UInt8) { bytes.append(byte) }
    mutating func write(_ instant: Instant) { write(instant.nanoseconds) }

    mutating func write(_ sample: Sample) {
        write(sample.at)
        write(sample.value)
    }

    mutating func write(_ sample: Sample?) {
        write(sample != nil)
        if let sample { write(sample) }
    }

    mutating func write(bytes more: [UInt8]) {
        write(more.count)
        bytes.append(contentsOf: more)
    }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    var count: Int { bytes.count }

    /// What was written since this was last asked; the writer begins anew.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    consuming func finish() -> [UInt8] { bytes }
}

/// Reads what `SnapshotWriter` wrote; nil once the bytes end or make no sense.
struct SnapshotReader {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    init(_ bytes: some Sequence<UInt8>) {
        let copy = ArraySlice(bytes)
        self.bytes = copy
        at = copy.startIndex
    }

    var isAtEnd: Bool { at == bytes.endIndex }
    var remaining: Int { bytes.endIndex - at }

    mutating func readByte() -> UInt8? {
        guard at < bytes.endIndex else { return nil }
        defer { at += 1 }
        return bytes[at]
    }

    mutating func readUInt64() -> UInt64? {
        guard remaining >= 8 else { return nil }
        defer { at += 8 }
        return bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at - bytes.startIndex, as: UInt64.self)) }
    }

    mutating func readInt64() -> Int64? { readUInt64().map { Int64(bitPattern: $0) } }
    mutating func readDouble() -> Double? { readUInt64().map { Double(bitPattern: $0) } }
    mutating func readInstant() -> Instant? { readInt64().map { Instant(nanoseconds: $0) } }

    /// A number of things, each of which the counting of later sums can bear.
    mutating func readCount() -> Int? {
        guard let number = readInt64(), (0...Int64(1) << 40).contains(number) else { return nil }
        return Int(number)
    }

    mutating func readBool() -> Bool? {
        switch readByte() {
        case 0: false
        case 1: true
        default: nil
        }
    }

    mutating func readBytes() -> [UInt8]? {
        guard let count = readCount(), count <= remaining else { return nil }
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    mutating func readSlice(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= remaining else { return nil }
        defer { at += count }
        return bytes[at..<at + count]
    }

    mutating func readSample() -> Sample? {
        guard let at = readInstant(), let value = readDouble() else { return nil }
        return Sample(at: at, value: value)
    }

    /// The outer nil is damage, the inner one no sample.
    mutating func readOptionalSample() -> Sample?? {
        guard let exists = readBool() else { return nil }
        guard exists else { return .some(nil) }
        return readSample().map { .some($0) }
    }
}
