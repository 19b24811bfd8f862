/// JSON text being written, in memory that is used again for the next one. What is written must be well formed; that is up to the writer.
public final class JSONBuffer {
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    public private(set) var count = 0

    public init() {
        capacity = 1024
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    /// Good until the next change.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    public func removeAll() { count = 0 }

    @inline(__always)
    private func room(_ more: Int) -> UnsafeMutablePointer<UInt8> {
        if capacity - count < more { grow(more) }
        let at = base + count
        count += more
        return at
    }

    private func grow(_ more: Int) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
    }

    @inline(__always)
    public func append(_ byte: UInt8) { room(1).pointee = byte }

    public func append(_ text: StaticString) {
        room(text.utf8CodeUnitCount).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    public func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        UnsafeMutableRawPointer(room(bytes.count)).copyMemory(from: start, byteCount: bytes.count)
    }

    /// A string with its quotes. False, and nothing written, when the bytes are no UTF-8.
    public func append(string bytes: UnsafeRawBufferPointer) -> Bool {
        guard JSONCursor.isUTF8(bytes.bindMemory(to: UInt8.self)) else { return false }
        append(UInt8(ascii: "\""))
        var start = 0
        for at in 0..<bytes.count {
            let byte = bytes[at]
            guard byte < 32 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            append(UnsafeRawBufferPointer(rebasing: bytes[start..<at]))
            append(escaped: byte)
            start = at + 1
        }
        append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        append(UInt8(ascii: "\""))
        return true
    }

    private func append(escaped byte: UInt8) {
        append(UInt8(ascii: "\\"))
        guard byte < 32 else { return append(byte) }
        append("u00")
        append(byte < 16 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
        append(byte & 15 < 10 ? UInt8(ascii: "0") + (byte & 15) : UInt8(ascii: "a") - 10 + (byte & 15))
    }

    public func append(_ number: Int64) {
        guard number < 0 || number > 9 else { return append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number)) }
        if number < 0 { append(UInt8(ascii: "-")) }
        var left = number.magnitude
        let digits = room(20)
        var at = 20
        while left > 0 {
            at -= 1
            digits[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: left % 10)
            left /= 10
        }
        (digits).update(from: digits + at, count: 20 - at)
        count -= at
    }

    /// JSON has no word for infinities and NaN: they are null.
    public func append(_ number: Double) {
        guard number.isFinite else { return append("null") }
        if number == number.rounded(), number.magnitude < 1e15, !(number == 0 && number.sign == .minus) { return append(Int64(number)) }
        var text = number.description
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    public func append(_ value: Bool) { if value { append("true") } else { append("false") } }
}
