/// Byte strings to dense numbers: open addressing, the bytes in one arena. Finding allocates nothing.
///
/// Numbers of removed entries are given out again, lowest last freed first, so that equal sequences of calls give equal numbers.
final class ByteTable {
    private struct Entry {
        var start: Int
        var length: UInt32
        var hash: UInt32
        static let freeLength = UInt32.max
    }

    private var entries: [Entry] = []
    private var free: [Int32] = []
    private var arena: [UInt8] = []
    private var garbage = 0
    /// Entry numbers by hash; -1 is empty, -2 once held an entry.
    private var index: [Int32]
    private var used = 0

    init() { index = [Int32](repeating: -1, count: 16) }

    var count: Int { entries.count - free.count }

    /// Wyhash-like mixing of eight bytes at a time; the same in every run.
    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ UInt64(truncatingIfNeeded: key.count)
        var at = 0
        while at + 8 <= key.count {
            let word = key.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let product = (state ^ word).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
            state = product.high ^ product.low
            at += 8
        }
        var tail: UInt64 = 0
        while at < key.count {
            tail = tail << 8 | UInt64(key[at])
            at += 1
        }
        let product = (state ^ tail).multipliedFullWidth(by: 0xe703_7ed1_a0b4_28db)
        return UInt32(truncatingIfNeeded: product.high ^ product.low)
    }

    /// The number of a key, or -1.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer) -> Int32 {
        let hash = Self.hash(key)
        let mask = index.count - 1
        var at = Int(hash) & mask
        return index.withUnsafeBufferPointer { index in
            entries.withUnsafeBufferPointer { entries in
                while true {
                    let number = index[at]
                    if number == -1 { return -1 }
                    if number >= 0 {
                        let entry = entries[Int(number)]
                        if entry.hash == hash, Int(entry.length) == key.count, same(key, entry) { return number }
                    }
                    at = (at + 1) & mask
                }
            }
        }
    }

    @inline(__always)
    private func same(_ key: UnsafeRawBufferPointer, _ entry: Entry) -> Bool {
        arena.withUnsafeBytes { arena in
            var at = 0
            while at + 8 <= key.count {
                if key.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                    != arena.loadUnaligned(fromByteOffset: entry.start + at, as: UInt64.self)
                {
                    return false
                }
                at += 8
            }
            while at < key.count {
                if key[at] != arena[entry.start + at] { return false }
                at += 1
            }
            return true
        }
    }

    /// The number of a key that is not there yet.
    func insert(_ key: UnsafeRawBufferPointer) -> Int32 {
        if (used + 1) * 4 > index.count * 3 { rebuild() }
        let hash = Self.hash(key)
        let entry = Entry(start: arena.count, length: UInt32(key.count), hash: hash)
        arena.append(contentsOf: key)
        let number: Int32
        if let reused = free.popLast() {
            number = reused
            entries[Int(number)] = entry
        } else {
            number = Int32(entries.count)
            entries.append(entry)
        }
        place(number, hash)
        return number
    }

    private func place(_ number: Int32, _ hash: UInt32) {
        let mask = index.count - 1
        var at = Int(hash) & mask
        while index[at] >= 0 { at = (at + 1) & mask }
        if index[at] == -1 { used += 1 }
        index[at] = number
    }

    func remove(_ number: Int32) {
        let entry = entries[Int(number)]
        guard entry.length != Entry.freeLength else { return }
        let mask = index.count - 1
        var at = Int(entry.hash) & mask
        while index[at] != number { at = (at + 1) & mask }
        index[at] = -2
        entries[Int(number)].length = Entry.freeLength
        free.append(number)
        garbage += Int(entry.length)
        if garbage > 4096, garbage * 2 > arena.count { compact() }
    }

    func removeAll() {
        entries.removeAll()
        free.removeAll()
        arena.removeAll()
        garbage = 0
        used = 0
        index = [Int32](repeating: -1, count: 16)
    }

    func string(_ number: Int32) -> String { withBytes(number) { String(decoding: $0, as: UTF8.self) } }

    func withBytes<Result>(_ number: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let entry = entries[Int(number)]
        return arena.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[entry.start..<entry.start + Int(entry.length)])) }
    }

    /// Numbers in use, rising.
    var numbers: [Int32] { entries.indices.lazy.filter { self.entries[$0].length != Entry.freeLength }.map { Int32($0) } }

    private func rebuild() {
        var size = 16
        while count * 2 >= size { size *= 2 }
        index = [Int32](repeating: -1, count: size * 2)
        used = 0
        for (number, entry) in entries.enumerated() where entry.length != Entry.freeLength { place(Int32(number), entry.hash) }
    }

    private func compact() {
        var packed: [UInt8] = []
        packed.reserveCapacity(arena.count - garbage)
        for number in entries.indices where entries[number].length != Entry.freeLength {
            let start = entries[number].start
            entries[number].start = packed.count
            packed.append(contentsOf: arena[start..<start + Int(entries[number].length)])
        }
        arena = packed
        garbage = 0
    }
}
