/// A map: keys are bools, ints, uints and strings; the order of insertion is kept. Keys are found across number types
/// (`1`, `1u` and `1.0` are one key) and strings by their bytes.
public struct CELMap: Sendable {
    let storage: Storage

    /// Entries and, from nine of them on, an open-addressed table.
    final class Storage: @unchecked Sendable {
        // @unchecked: the memory is written once in `init` and only read afterwards, until `deinit` frees it.
        private let base: UnsafeMutablePointer<Entry>
        let count: Int
        /// Positions of entries, -1 where empty. Empty for small maps.
        private let table: UnsafeMutablePointer<Int32>?
        /// One less than the table's length, which is a power of two at least twice the number of entries.
        private let mask: Int

        init(entries: ContiguousArray<Entry>, table positions: ContiguousArray<Int32>) {
            count = entries.count
            base = .allocate(capacity: max(1, entries.count))
            for index in entries.indices { (base + index).initialize(to: entries[index]) }
            mask = positions.count - 1
            table = positions.isEmpty ? nil : .allocate(capacity: positions.count)
            for index in positions.indices { table?[index] = positions[index] }
        }

        deinit {
            base.deinitialize(count: count)
            base.deallocate()
            table?.deallocate()
        }

        /// The entry at a position below `count`.
        func entry(_ position: Int) -> Entry { base[position] }

        func value(_ position: Int) -> Value { base[position].value }

        /// The value in the form of a slot, kind `.object` where it does not fit one.
        @inline(__always)
        func slot(_ position: Int) -> Slot { base[position].slot }

        func position(of key: MapKey) -> Int? { position(of: key, hash: key.hash) }

        private func position(of key: MapKey, hash: UInt64) -> Int? {
            guard let table else {
                for position in 0..<count where base[position].hash == hash && key.matches(base[position].key) { return position }
                return nil
            }
            var index = Int(truncatingIfNeeded: hash) & mask
            while table[index] >= 0 {
                let position = Int(table[index])
                if base[position].hash == hash, key.matches(base[position].key) { return position }
                index = (index + 1) & mask
            }
            return nil
        }

        /// The hot look-up: a string key whose hash was computed when the expression was compiled.
        @inline(__always)
        func position(of key: String, hash: UInt64) -> Int? {
            guard table == nil else { return position(of: .string(key), hash: hash) }
            var position = 0
            while position < count {
                if base[position].hash == hash, isKey(position, key) { return position }
                position &+= 1
            }
            return nil
        }

        @inline(__always)
        private func isKey(_ position: Int, _ key: String) -> Bool {
            guard case .string(let stored) = base[position].key else { return false }
            return stored.hasSameBytes(as: key)
        }
    }

    struct Entry: Sendable {
        var hash: UInt64
        var key: Value
        var value: Value
        /// The value once more, in the form of a slot: reading it counts no references.
        var slot: Slot

        init(hash: UInt64, key: Value, value: Value) {
            self.hash = hash
            self.key = key
            self.value = value
            slot = Slot(inline: value) ?? .boxless
        }
    }

    private static let emptyStorage = Storage(entries: [], table: [])

    public init() { storage = CELMap.emptyStorage }

    init(storage: Storage) { self.storage = storage }

    /// Builds a map; nil when a key is of a kind that cannot be one, or is there twice.
    public init?(_ pairs: [(key: Value, value: Value)]) {
        var builder = Builder(capacity: pairs.count)
        for pair in pairs {
            guard builder.insert(pair.key, pair.value) == .inserted else { return nil }
        }
        self = builder.build()
    }

    public var count: Int { storage.count }

    public var keys: [Value] { (0..<count).map { storage.entry($0).key } }

    /// All entries in the order in which they were put in.
    public var pairs: [(key: Value, value: Value)] { (0..<count).map { entry($0) } }

    /// The entry at a position below `count`.
    public func entry(_ position: Int) -> (key: Value, value: Value) {
        let entry = storage.entry(position)
        return (entry.key, entry.value)
    }

    public subscript(key: String) -> Value? {
        let hash = key.withBytes { Bytes.hash($0) }
        guard let position = storage.position(of: key, hash: hash) else { return nil }
        return storage.value(position)
    }

    /// The value under any key, compared as CEL compares keys; nil too for values that can be no keys.
    public subscript(key: Value) -> Value? {
        guard let normal = MapKey(key), let position = storage.position(of: normal) else { return nil }
        return storage.value(position)
    }

    /// Puts entries together; a later entry under an equal key is refused or replaces, as the caller asks.
    struct Builder {
        enum Insertion { case inserted, repeated, notAKey }

        private var entries: ContiguousArray<Entry> = []
        private var table: ContiguousArray<Int32> = []

        init(capacity: Int) { entries.reserveCapacity(capacity) }

        var count: Int { entries.count }

        mutating func insert(_ key: Value, _ value: Value, replacing: Bool = false) -> Insertion {
            guard let normal = MapKey(key) else { return .notAKey }
            let hash = normal.hash
            if let position = position(of: normal, hash: hash) {
                if replacing { entries[position] = Entry(hash: hash, key: entries[position].key, value: value) }
                return .repeated
            }
            entries.append(Entry(hash: hash, key: key, value: value))
            if entries.count > 8 {
                if entries.count * 2 > table.count { grow() } else { place(entries.count - 1) }
            }
            return .inserted
        }

        private func position(of key: MapKey, hash: UInt64) -> Int? {
            if table.isEmpty { return entries.firstIndex { $0.hash == hash && key.matches($0.key) } }
            var index = Int(truncatingIfNeeded: hash) & (table.count - 1)
            while table[index] >= 0 {
                let position = Int(table[index])
                if entries[position].hash == hash, key.matches(entries[position].key) { return position }
                index = (index + 1) & (table.count - 1)
            }
            return nil
        }

        private mutating func grow() {
            table = ContiguousArray(repeating: -1, count: max(32, table.count * 2))
            for position in entries.indices { place(position) }
        }

        private mutating func place(_ position: Int) {
            var index = Int(truncatingIfNeeded: entries[position].hash) & (table.count - 1)
            while table[index] >= 0 { index = (index + 1) & (table.count - 1) }
            table[index] = Int32(truncatingIfNeeded: position)
        }

        func build() -> CELMap {
            entries.isEmpty ? CELMap() : CELMap(storage: Storage(entries: entries, table: table))
        }
    }
}

/// A key as it is compared: all numbers on one line.
enum MapKey {
    case bool(Bool)
    case int(Int64)
    /// Above `Int64.max`.
    case large(UInt64)
    case string(String)

    init?(_ value: Value) {
        switch value {
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .uint(let number): self = Int64(exactly: number).map { .int($0) } ?? .large(number)
        case .string(let text): self = .string(text)
        default: return nil
        }
    }

    /// For look-up: a whole double counts as the number it is.
    init?(lookingUp value: Value) {
        guard case .double(let number) = value else {
            self.init(value)
            return
        }
        if let whole = Int64(exactly: number) {
            self = .int(whole)
        } else if let whole = UInt64(exactly: number) {
            self = .large(whole)
        } else {
            return nil
        }
    }

    var hash: UInt64 {
        switch self {
        case .bool(let flag): Bytes.hash(flag ? 0x5EED : 0xFEED)
        case .int(let number): Bytes.hash(UInt64(bitPattern: number))
        case .large(let number): Bytes.hash(number)
        case .string(let text): text.withBytes { Bytes.hash($0) }
        }
    }

    func matches(_ stored: Value) -> Bool {
        switch (self, stored) {
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.int(let a), .uint(let b)): Int64(exactly: b) == a
        case (.large(let a), .uint(let b)): a == b
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        default: false
        }
    }
}
