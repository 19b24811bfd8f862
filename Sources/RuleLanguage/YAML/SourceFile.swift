import RuleEngine

/// The text of one file, and where its lines begin. Places are UTF-8 offsets until a person has to see them.
final class SourceFile: Sendable {
    let name: String
    /// Without a byte order mark.
    let bytes: [UInt8]
    private let lineStarts: [Int]
    /// Unicode scalars before every 256th byte; empty when the file is ASCII. Keeps the place of an offset cheap in files of one long line.
    private let scalarsBefore: [Int]

    init(name: String, bytes given: [UInt8]) {
        let bytes = given.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(given[3...]) : given
        var starts = [0]
        var checkpoints: [Int] = []
        var scalars = 0
        for (offset, byte) in bytes.enumerated() {
            if offset & 255 == 0 { checkpoints.append(scalars) }
            if byte & 0xC0 != 0x80 { scalars += 1 }
            if byte == 10 || byte == 13 && !(offset + 1 < bytes.count && bytes[offset + 1] == 10) { starts.append(offset + 1) }
        }
        self.name = name
        self.bytes = bytes
        lineStarts = starts
        scalarsBefore = scalars == bytes.count ? [] : checkpoints
    }

    /// The place of a range of bytes; its length ends with the line it begins on.
    func location(of range: Range<Int>) -> SourceLocation {
        let start = min(max(0, range.lowerBound), bytes.count)
        let line = lineIndex(of: start)
        let end = max(start, min(range.upperBound, lineEnd(line)))
        return SourceLocation(
            file: name, line: line + 1, column: scalarCount(to: start) - scalarCount(to: lineStarts[line]) + 1,
            length: scalarCount(to: end) - scalarCount(to: start))
    }

    /// The UTF-8 offset of the `index`th Unicode scalar.
    func offset(ofScalar index: Int) -> Int {
        guard !scalarsBefore.isEmpty else { return min(max(0, index), bytes.count) }
        var low = 0
        var high = scalarsBefore.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if scalarsBefore[middle] <= index { low = middle } else { high = middle }
        }
        var left = index - scalarsBefore[low]
        var at = low * 256
        // The first bytes of a block may end a scalar that began before it.
        while at < bytes.count {
            if bytes[at] & 0xC0 != 0x80 {
                if left <= 0 { return at }
                left -= 1
            }
            at += 1
        }
        return at
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range.clamped(to: 0..<bytes.count)], as: UTF8.self) }

    /// The bytes of the line on which `offset` stands, without its end.
    func lineRange(at offset: Int) -> Range<Int> {
        let line = lineIndex(of: min(max(0, offset), bytes.count))
        return lineStarts[line]..<lineEnd(line)
    }

    /// Every line as people see it; what is no UTF-8 is shown as U+FFFD.
    var lines: [String] { lineStarts.indices.map { text(lineStarts[$0]..<lineEnd($0)) } }

    private func lineIndex(of offset: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lineStarts[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    private func lineEnd(_ line: Int) -> Int {
        guard line + 1 < lineStarts.count else { return bytes.count }
        var end = lineStarts[line + 1] - 1
        if end > lineStarts[line], bytes[end] == 10, bytes[end - 1] == 13 { end -= 1 }
        return end
    }

    private func scalarCount(to offset: Int) -> Int {
        guard !scalarsBefore.isEmpty else { return offset }
        let block = min(offset >> 8, scalarsBefore.count - 1)
        return bytes[block * 256..<offset].reduce(scalarsBefore[block]) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) }
    }
}
