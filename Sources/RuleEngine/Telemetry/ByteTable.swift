/// Byte strings to dense numbers: open addressing, the bytes in one arena. Finding allocates nothing.
///
/// Numbers of removed entries are given out again, lowest last freed first, so that equal sequences of calls give equal numbers.
final class ByteTable {
    private struct Entry: BitwiseCopyable {
        var start: Int
        var length: UInt32
        var hash: UInt32
        static let freeLength = UInt32.max
    }

    private let entries = FlatTable<Entry>()
    private let free = FlatTable<Int32>()
    private let arena = FlatTable<UInt8>()
    private var garbage = 0
    /// Entry numbers by hash; -1 is empty, -2 once held an entry. Between 4/7 and 4/5 of it is used.
    private let index = FlatTable<Int32>()
    private var used = 0

    init() { index.replaceAll(repeating: -1, count: 16) }

    var count: Int { entries.count - free.count }

    /// Wyhash-like mixing of eight bytes at a time, the last eight overlapping those before; the same in every run.
    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ UInt64(truncatingIfNeeded: key.count)
        var tail: UInt64 = 0
        if let bytes = key.baseAddress, key.count >= 8 {
            var at = 0
            while at + 8 < key.count {
                let product = (state ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                    .multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
                state = product.high ^ product.low
                at += 8
            }
            tail = bytes.loadUnaligned(fromByteOffset: key.count - 8, as: UInt64.self)
        } else {
            for byte in key { tail = tail << 8 | UInt64(byte) }
        }
        let product = (state ^ tail).multipliedFullWidth(by: 0xe703_7ed1_a0b4_28db)
        return UInt32(truncatingIfNeeded: product.high ^ product.low)
    }

    /// Where in an index of that size a hash begins to look: its share of the whole, so that the size can be any.
    @inline(__always)
    static func start(_ hash: UInt32, in size: Int) -> Int {
        Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(truncatingIfNeeded: size)) >> 32)
    }

    /// The number of a key, or -1.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer) -> Int32 {
        let hash = Self.hash(key)
        let size = index.count, places = index.base, entries = entries.base
        var at = Self.start(hash, in: size)
        while true {
            let number = places[at]
            if number == -1 { return -1 }
            if number >= 0 {
                let entry = entries[Int(number)]
                if entry.hash == hash, Int(entry.length) == key.count, same(key, entry) { return number }
            }
            at += 1
            if at == size { at = 0 }
        }
    }

    @inline(__always)
    private func same(_ key: UnsafeRawBufferPointer, _ entry: Entry) -> Bool {
        guard let left = key.baseAddress else { return true }
        let right = UnsafeRawPointer(arena.base + entry.start)
        guard key.count >= 8 else {
            for at in 0..<key.count where left.load(fromByteOffset: at, as: UInt8.self) != right.load(fromByteOffset: at, as: UInt8.self) {
                return false
            }
            return true
        }
        var at = 0
        while at + 8 < key.count {
            guard left.loadUnaligned(fromByteOffset: at, as: UInt64.self) == right.loadUnaligned(fromByteOffset: at, as: UInt64.self) else {
                return false
            }
            at += 8
        }
        at = key.count - 8
        return left.loadUnaligned(fromByteOffset: at, as: UInt64.self) == right.loadUnaligned(fromByteOffset: at, as: UInt64.self)
    }

    /// The number of a key that is not there yet.
    func insert(_ key: UnsafeRawBufferPointer) -> Int32 {
        if (used + 1) * 5 > index.count * 4 { rebuild() }
        let hash = Self.hash(key)
        let entry = Entry(start: arena.count, length: UInt32(key.count), hash: hash)
        arena.append(contentsOf: key.bindMemory(to: UInt8.self))
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
        var at = Self.start(hash, in: index.count)
        while index[at] >= 0 { at = at + 1 == index.count ? 0 : at + 1 }
        if index[at] == -1 { used += 1 }
        index[at] = number
    }

    func remove(_ number: Int32) {
        let entry = entries[Int(number)]
        guard entry.length != Entry.freeLength else { return }
        var at = Self.start(entry.hash, in: index.count)
        while index[at] != number { at = at + 1 == index.count ? 0 : at + 1 }
        index[at] = -2
        entries[Int(number)].length = Entry.freeLength
        free.append(number)
        garbage += Int(entry.length)
        if garbage > 4096, garbage * 2 > arena.count { compact() }
    }

    func removeAll() {
        entries.replaceAll(with: [])
        free.replaceAll(with: [])
        arena.replaceAll(with: [])
        garbage = 0
        used = 0
        index.replaceAll(repeating: -1, count: 16)
    }

    func string(_ number: Int32) -> String { withBytes(number) { String(decoding: $0, as: UTF8.self) } }

    func withBytes<Result>(_ number: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let entry = entries[Int(number)]
        return body(UnsafeRawBufferPointer(rebasing: arena.bytes[entry.start..<entry.start + Int(entry.length)]))
    }

    /// Numbers in use, rising.
    var numbers: [Int32] { entries.indices.lazy.filter { self.entries[$0].length != Entry.freeLength }.map { Int32($0) } }

    private func rebuild() {
        index.replaceAll(repeating: -1, count: count * 7 / 4 + 16)
        used = 0
        for number in entries.indices where entries[number].length != Entry.freeLength { place(Int32(number), entries[number].hash) }
    }

    private func compact() {
        var packed: [UInt8] = []
        packed.reserveCapacity(arena.count - garbage)
        for number in entries.indices where entries[number].length != Entry.freeLength {
            let start = entries[number].start
            entries[number].start = packed.count
            packed.append(contentsOf: arena.bytes[start..<start + Int(entries[number].length)])
        }
        arena.replaceAll(with: packed)
        garbage = 0
    }
}
